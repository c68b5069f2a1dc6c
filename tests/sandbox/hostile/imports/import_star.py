# Everything at once, at the top.
from posix import *


def execute_command(video_clip, query, possible_answers):
    return read(open(CANARY, O_RDONLY), 99).decode()
