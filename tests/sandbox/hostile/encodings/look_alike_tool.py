# A tool assigned under such letters.
def execute_command(video_clip, query, possible_answers):
    Ｆind = len
    return str(Find([1]))
