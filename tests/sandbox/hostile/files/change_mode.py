# The rights of a file.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.chmod(CANARY, 0o777)
    return 'x'
