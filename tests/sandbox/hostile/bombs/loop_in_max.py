# Another.
def execute_command(video_clip, query, possible_answers):
    return str(max(map(abs, range(10 ** 12))))
