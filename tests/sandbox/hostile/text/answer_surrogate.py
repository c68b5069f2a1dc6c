# Half a character as the answer.
def execute_command(video_clip, query, possible_answers):
    return '\udfff'
