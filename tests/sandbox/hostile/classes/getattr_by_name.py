# The same walk, each attribute by its name.
def execute_command(video_clip, query, possible_answers):
    return str(getattr(getattr(len, '__self__'), 'open')(CANARY).read())
