# Positional parameters before the known ones.
def execute_command(clip, /, video_clip, query, possible_answers):
    return 'x'
