# -*- coding: rot13 -*-
# qrs bcra():
def execute_command(video_clip, query, possible_answers):
    return 'x'
