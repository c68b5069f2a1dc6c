# A variable that is only read before it is set.
def execute_command(video_clip, query, possible_answers):
    return open(CANARY).read()
    open = 1
