# An argument that is too long.
def execute_command(video_clip, query, possible_answers):
    return Video_query(video_clip, 'x' * 10000000)
