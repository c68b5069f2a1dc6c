# The builtins replaced by a global.
def execute_command(video_clip, query, possible_answers):
    global __builtins__
    __builtins__ = 1
    return open(CANARY).read()
