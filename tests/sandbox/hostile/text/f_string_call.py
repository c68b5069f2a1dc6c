# An f-string calls.
def execute_command(video_clip, query, possible_answers):
    return f'{open(CANARY).read()}'
