# A class by calling its metaclass.
def execute_command(video_clip, query, possible_answers):
    A = type('A', (), {'x': 1})
    return str(A().x)
