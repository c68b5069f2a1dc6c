# A handle with thousands of digits.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    os.write(1, b'{"call": "Find", "arguments": [{"!": "clip", "handle": ' + b'9' * 9000 + b'}, "cup"], "keywords": {}}\n')
    return 'x'
