# ÿþ
def execute_command(video_clip, query, possible_answers):
    return 'é' + len.__self__.open(CANARY).read()
