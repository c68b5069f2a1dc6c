# A parameter that is named like a tool.
def other(Find):
    return str(Find([1]))


def execute_command(video_clip, query, possible_answers):
    return other(len)
