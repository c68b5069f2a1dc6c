# The same with a mapping.
def execute_command(video_clip, query, possible_answers):
    return '{x.__class__.__base__}'.format_map({'x': query})
