# What is no exception.
def execute_command(video_clip, query, possible_answers):
    raise video_clip
    return 'x'
