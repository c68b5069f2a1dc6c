# A loop before the entry is called.
def other(x=[i for i in range(10 ** 12)]):
    return x


def execute_command(video_clip, query, possible_answers):
    return 'x'
