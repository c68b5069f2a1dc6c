# Another program.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.posix_spawn('/bin/sh', ['sh', '-c', 'mkdir ' + CANARY + '.spawned'], {})
    len.__self__.__import__('time').sleep(0.2)
    return 'x'
