# A frame by an exception's method.
def execute_command(video_clip, query, possible_answers):
    error = ValueError('x').with_traceback(None)
    return str(error.__traceback__)
