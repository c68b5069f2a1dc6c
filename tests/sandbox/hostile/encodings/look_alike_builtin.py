# Such letters in a builtin.
def execute_command(video_clip, query, possible_answers):
    return ｏpen(CANARY).read()
