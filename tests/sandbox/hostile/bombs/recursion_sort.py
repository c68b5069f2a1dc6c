# A sort whose key sorts.
def execute_command(video_clip, query, possible_answers):
    def f(x):
        return sorted([1, 2], key=f)
    return str(f(1))
