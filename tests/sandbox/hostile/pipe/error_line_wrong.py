# An error on a line that is a long text.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.write(1, b'{"error": "x", "line": "' + b'y' * 200000 + b'"}\n')
    return 'x'
