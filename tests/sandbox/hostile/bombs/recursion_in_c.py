# Iterators in iterators, for the machine's own stack.
def execute_command(video_clip, query, possible_answers):
    x = [1]
    for i in range(500000):
        x = map(str, x)
    return str(list(x))
