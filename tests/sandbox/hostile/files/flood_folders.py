# Folders in folders.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    path = CANARY + '.d'
    for i in range(100):
        os.mkdir(path)
        path += '/d'
    return 'x'
