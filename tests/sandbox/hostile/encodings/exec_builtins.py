# The same out of a builtin's module.
def execute_command(video_clip, query, possible_answers):
    names = {}
    len.__self__.exec('import os; os.mkdir(%r)' % (CANARY + '.made'), names)
    return 'made'
