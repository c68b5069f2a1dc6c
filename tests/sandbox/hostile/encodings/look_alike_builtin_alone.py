# The same in a builtin.
def execute_command(video_clip, query, possible_answers):
    return str(ｏpen(CANARY))
