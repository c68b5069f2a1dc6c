# Memory that outlives the process.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    fd = os.open('/dev/shm/' + CANARY.rpartition('/')[2], os.O_CREAT)
    os.mkdir(CANARY + '.shm')
    os.remove('/dev/shm/' + CANARY.rpartition('/')[2])
    return 'x'
