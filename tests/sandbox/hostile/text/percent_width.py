# The same with the percent sign.
def execute_command(video_clip, query, possible_answers):
    return '%9999999999d' % 1
