# A tool as a comprehension's variable.
def execute_command(video_clip, query, possible_answers):
    return str([Find for Find in range(3)])
