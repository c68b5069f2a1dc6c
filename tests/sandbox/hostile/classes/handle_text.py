# A handle that is a path.
def execute_command(video_clip, query, possible_answers):
    video_clip._handle = CANARY
    return Video_query(video_clip, 'x')
