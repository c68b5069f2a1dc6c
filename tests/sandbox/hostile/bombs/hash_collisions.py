# Keys that share a hash.
def execute_command(video_clip, query, possible_answers):
    return str(len({(2 ** 61 - 1) * i: 0 for i in range(100000)}))
