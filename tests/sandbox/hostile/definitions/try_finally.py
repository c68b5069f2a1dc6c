# What runs when everything has failed.
def execute_command(video_clip, query, possible_answers):
    try:
        return 1 / 0
    finally:
        return 'kept'
