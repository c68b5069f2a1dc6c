# The file's text in an exception.
def execute_command(video_clip, query, possible_answers):
    raise ValueError(open(CANARY).read())
    return 'x'
