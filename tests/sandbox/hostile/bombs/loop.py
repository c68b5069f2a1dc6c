# A loop.
def execute_command(video_clip, query, possible_answers):
    while True:
        pass
    return 'x'
