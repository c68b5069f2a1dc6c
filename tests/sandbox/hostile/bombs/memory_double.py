# A text that doubles.
def execute_command(video_clip, query, possible_answers):
    x = 'x'
    while True:
        x += x
    return x
