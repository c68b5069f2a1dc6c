"""Frames in: decoding in a process that can be killed, and the clip a program handles."""
