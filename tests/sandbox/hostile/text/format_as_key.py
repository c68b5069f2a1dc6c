# As the key of a sort.
def execute_command(video_clip, query, possible_answers):
    return sorted(['{0.__class__}'], key=str.format)[0]
