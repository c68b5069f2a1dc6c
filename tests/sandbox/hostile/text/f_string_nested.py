# An expression in the format of an f-string.
def execute_command(video_clip, query, possible_answers):
    return f"{1:{len.__self__.open(CANARY).read()}}"
