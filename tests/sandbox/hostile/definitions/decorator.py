# A decorator runs at definition.
def touch(f):
    len.__self__.open(CANARY + '.decorator', 'w')
    return f


@touch
def other():
    return 1


def execute_command(video_clip, query, possible_answers):
    return 'x'
