# Texts joined by long ones.
def execute_command(video_clip, query, possible_answers):
    return ('x' * 100000).join(['y'] * 100000)
