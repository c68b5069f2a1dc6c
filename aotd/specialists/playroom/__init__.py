"""Specialists of playroom: they see decoded pixels, and know the vocabulary, as a trained detector would.

Each video is looked at once (`tracks.look`); the four specialists read the same tracks and are wrong where
those are: things hidden or blended, motion too short for the frames sampled.
"""
