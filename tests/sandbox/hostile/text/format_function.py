# The builtin format.
def execute_command(video_clip, query, possible_answers):
    return format(video_clip, '.__class__')
