# A dict that grows.
def execute_command(video_clip, query, possible_answers):
    return str({i: str(i) * 100 for i in range(10 ** 9)})
