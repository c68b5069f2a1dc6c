# A deep list written out.
def execute_command(video_clip, query, possible_answers):
    x = []
    for i in range(1000000):
        x = [x]
    return str(x)
