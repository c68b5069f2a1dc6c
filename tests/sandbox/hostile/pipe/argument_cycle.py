# A list that holds itself.
def execute_command(video_clip, query, possible_answers):
    x = []
    x.append(x)
    return select_answer(query, {'x': x}, possible_answers)
