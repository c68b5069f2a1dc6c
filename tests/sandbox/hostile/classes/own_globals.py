# The function's own globals.
def execute_command(video_clip, query, possible_answers):
    return execute_command.__globals__['__builtins__']['open'](CANARY).read()
