# The same in a keyword, which is allowed.
def execute_command(video_clip, query, possible_answers):
    return select_answer(query, {}, ｐossible_answers=[CANARY])
