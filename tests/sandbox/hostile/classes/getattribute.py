# Attributes by the method that looks them up.
def execute_command(video_clip, query, possible_answers):
    return str(object.__getattribute__(len, '__self__'))
