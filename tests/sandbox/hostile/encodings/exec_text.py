# Code from text.
def execute_command(video_clip, query, possible_answers):
    exec('import os; os.system("touch " + %r)' % (CANARY + '.exec'))
    return 'x'
