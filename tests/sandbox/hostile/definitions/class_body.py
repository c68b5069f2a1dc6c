# A class body at the top.
class A:
    len.__self__.open(CANARY + '.body', 'w')


def execute_command(video_clip, query, possible_answers):
    return 'x'
