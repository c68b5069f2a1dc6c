# Each letter replaced by many.
def execute_command(video_clip, query, possible_answers):
    return ('x' * 100000).replace('x', 'y' * 100000)
