# A hook that runs when a class is derived.
def execute_command(video_clip, query, possible_answers):
    class A:
        def __init_subclass__(cls):
            len.__self__.open(CANARY + '.hook', 'w')
    class B(A):
        pass
    return 'made'
