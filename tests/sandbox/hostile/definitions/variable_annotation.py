# An annotation of a module's variable.
x: len.__self__.open(CANARY + '.variable', 'w') = 1


def execute_command(video_clip, query, possible_answers):
    return 'x'
