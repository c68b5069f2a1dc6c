# Two that call each other.
def execute_command(video_clip, query, possible_answers):
    return str((lambda f: f(f))(lambda f: f(f)))
