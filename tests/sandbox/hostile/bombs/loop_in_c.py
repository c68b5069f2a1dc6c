# A loop inside the interpreter.
def execute_command(video_clip, query, possible_answers):
    return str(sum(range(10 ** 12)))
