# A list nested as deeply as one can be sent.
def execute_command(video_clip, query, possible_answers):
    x = 'yes'
    for i in range(480):
        x = [x]
    return select_answer(query, {'x': x}, possible_answers)
