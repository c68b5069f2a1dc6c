# An exception with a very long text.
def execute_command(video_clip, query, possible_answers):
    raise ValueError('a' * 100000000)
    return 'x'
