# A dict that looks like a tagged value.
def execute_command(video_clip, query, possible_answers):
    return select_answer(query, {'!': 'clip', 'handle': 999}, possible_answers)
