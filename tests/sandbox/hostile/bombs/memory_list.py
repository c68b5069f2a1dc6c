# A list that grows.
def execute_command(video_clip, query, possible_answers):
    x = []
    while True:
        x.extend([0] * 1000000)
    return 'x'
