# A search that finds nothing.
def execute_command(video_clip, query, possible_answers):
    return str(0.5 in range(10 ** 12))
