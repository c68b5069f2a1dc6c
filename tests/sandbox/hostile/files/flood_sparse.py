# A file that looks very large.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    fd = os.open(CANARY + '.big', os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 10 ** 12)
    return 'x'
