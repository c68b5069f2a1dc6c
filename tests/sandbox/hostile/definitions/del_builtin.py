# A tool removed.
def execute_command(video_clip, query, possible_answers):
    del Find
    return 'x'
