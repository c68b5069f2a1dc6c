# So does that of what is returned.
def other() -> len.__self__.open(CANARY + '.returned', 'w'):
    return 1


def execute_command(video_clip, query, possible_answers):
    return 'x'
