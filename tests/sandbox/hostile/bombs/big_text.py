# A number too long to be written.
def execute_command(video_clip, query, possible_answers):
    return str(10 ** 10 ** 6)
