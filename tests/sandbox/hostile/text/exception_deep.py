# An exception whose text cannot be made.
def execute_command(video_clip, query, possible_answers):
    x = []
    for i in range(100000):
        x = [x]
    raise ValueError(x)
    return 'x'
