# A very long text.
def execute_command(video_clip, query, possible_answers):
    return 'x' * 10 ** 11
