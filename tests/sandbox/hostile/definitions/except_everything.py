# What cannot be stopped from inside.
def execute_command(video_clip, query, possible_answers):
    while True:
        try:
            while True:
                pass
        except:
            pass
    return 'x'
