# A name given in an expression.
def execute_command(video_clip, query, possible_answers):
    return (read := len.__self__.open)(CANARY).read()
