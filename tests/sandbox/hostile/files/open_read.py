# A file read.
def execute_command(video_clip, query, possible_answers):
    return open(CANARY).read()
