# A file moved.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.rename(CANARY, CANARY + '.moved')
    return 'x'
