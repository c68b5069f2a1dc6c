# A variable of another function.
def other():
    open = len
    return open


def execute_command(video_clip, query, possible_answers):
    return open(CANARY).read()
