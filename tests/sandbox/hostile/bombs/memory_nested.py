# Lists in lists.
def execute_command(video_clip, query, possible_answers):
    x = [0] * 1000
    for i in range(5):
        x = [list(x) for k in range(1000)]
    return str(x)
