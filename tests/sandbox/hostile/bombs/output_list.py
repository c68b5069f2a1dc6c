# An answer of very many.
def execute_command(video_clip, query, possible_answers):
    return [list(range(10 ** 6))]
