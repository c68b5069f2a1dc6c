# A function that calls itself.
def execute_command(video_clip, query, possible_answers):
    def f(n):
        return f(n + 1)
    return str(f(0))
