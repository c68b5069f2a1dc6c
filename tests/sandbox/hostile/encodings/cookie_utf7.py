# coding: utf-7
# +AAo-import os, in an encoding in which a comment is code.
def execute_command(video_clip, query, possible_answers):
    # +AAoAIAAgACAAIA-return len.__self__.open(CANARY).read()
    return 'x'
