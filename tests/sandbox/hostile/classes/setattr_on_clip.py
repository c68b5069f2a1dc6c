# A handle of another number.
def execute_command(video_clip, query, possible_answers):
    video_clip._handle = 7
    return str(len(trim(video_clip, 0, 3)))
