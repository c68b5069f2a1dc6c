# A context that runs at both ends.
def execute_command(video_clip, query, possible_answers):
    with len.__self__.open(CANARY) as f:
        return f.read()
