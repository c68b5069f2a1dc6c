# A frame number without end.
def execute_command(video_clip, query, possible_answers):
    return str(len(trim(video_clip, 0, float('inf'))))
