# A link to a file.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.symlink(CANARY, CANARY + '.symlink')
    return 'x'
