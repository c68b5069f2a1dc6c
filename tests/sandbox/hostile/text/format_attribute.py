# Attributes in a format string.
def execute_command(video_clip, query, possible_answers):
    return '{0.__class__.__init__.__globals__}'.format(video_clip)
