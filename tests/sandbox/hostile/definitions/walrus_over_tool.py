# A tool replaced in an expression.
def execute_command(video_clip, query, possible_answers):
    (Find := len)
    return str(Find([1]))
