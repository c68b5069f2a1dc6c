# An exception thrown into a generator.
def execute_command(video_clip, query, possible_answers):
    g = (x for x in (1, 2))
    g.throw(ValueError)
    return 'x'
