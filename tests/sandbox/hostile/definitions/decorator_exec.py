# A decorator that runs text.
@exec
@input
def other():
    return 1


def execute_command(video_clip, query, possible_answers):
    return 'x'
