# A comprehension that shadows and leaks.
def execute_command(video_clip, query, possible_answers):
    return [open for open in [len.__self__.open]][0](CANARY).read()
