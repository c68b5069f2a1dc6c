# Many arguments.
def execute_command(video_clip, query, possible_answers):
    return str(len(list(zip(*([range(10 ** 7)] * 50)))))
