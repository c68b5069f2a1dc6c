# The same in an attribute.
def execute_command(video_clip, query, possible_answers):
    return str(len.__ｓelf__)
