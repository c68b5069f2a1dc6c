# Two deep lists compared.
def execute_command(video_clip, query, possible_answers):
    x, y = [], []
    for i in range(1000000):
        x, y = [x], [y]
    return str(x == y)
