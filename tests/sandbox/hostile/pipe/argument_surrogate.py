# Half a character as an argument.
def execute_command(video_clip, query, possible_answers):
    return Video_query(video_clip, '\ud800')
