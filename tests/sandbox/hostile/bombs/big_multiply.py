# Squares of squares.
def execute_command(video_clip, query, possible_answers):
    x = 3
    while True:
        x = x * x
    return str(x)
