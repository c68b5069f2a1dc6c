# A tool as the key of a sort.
def execute_command(video_clip, query, possible_answers):
    return str(sorted(range(1000), key=lambda i: Count(video_clip, 'cup')))
