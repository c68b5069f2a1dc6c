# An answer without end.
def execute_command(video_clip, query, possible_answers):
    return 'x' * 10 ** 8
