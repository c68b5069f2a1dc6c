# A default runs at definition.
def other(x=len.__self__.open(CANARY + '.default', 'w')):
    return x


def execute_command(video_clip, query, possible_answers):
    return 'x'
