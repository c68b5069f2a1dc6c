# A table that is all of Unicode.
def execute_command(video_clip, query, possible_answers):
    return 'x'.translate({i: 'y' * 9999 for i in range(1114112)})
