# A module that starts a browser when it is imported.
def execute_command(video_clip, query, possible_answers):
    import antigravity
    return 'up'
