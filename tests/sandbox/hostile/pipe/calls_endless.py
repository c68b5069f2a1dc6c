# Calls without end.
def execute_command(video_clip, query, possible_answers):
    while True:
        exist(video_clip, 'cup')
    return 'x'
