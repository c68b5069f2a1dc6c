# A file written.
def execute_command(video_clip, query, possible_answers):
    open(CANARY, 'w').write('changed')
    return 'x'
