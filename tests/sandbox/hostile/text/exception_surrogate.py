# Half a character in an exception.
def execute_command(video_clip, query, possible_answers):
    raise ValueError('\ud800')
    return 'x'
