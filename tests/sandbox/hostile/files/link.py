# A second name for a file.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.link(CANARY, CANARY + '.link')
    return 'x'
