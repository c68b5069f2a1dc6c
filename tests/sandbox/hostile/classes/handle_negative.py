# A handle from the other end.
def execute_command(video_clip, query, possible_answers):
    video_clip._handle = -1
    return Video_query(video_clip, 'x')
