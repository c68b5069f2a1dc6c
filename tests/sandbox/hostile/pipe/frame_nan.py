# A frame number that is none.
def execute_command(video_clip, query, possible_answers):
    return str(len(trim(video_clip, float('nan'), 3)))
