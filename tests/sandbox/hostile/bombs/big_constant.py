# A power that a compiler may work out.
def execute_command(video_clip, query, possible_answers):
    return 'x' if 7 ** 7 ** 9 else 'y'
