# An import under an innocent name.
def execute_command(video_clip, query, possible_answers):
    import posix as math
    return str(math.listdir('/'))
