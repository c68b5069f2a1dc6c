# A power of a power.
def execute_command(video_clip, query, possible_answers):
    return str(9 ** 9 ** 9)
