# The pickle protocol rebuilds by calling.
def execute_command(video_clip, query, possible_answers):
    return str(video_clip.__reduce_ex__(2)[0].__globals__)
