# Foreign functions need no builtins.
def execute_command(video_clip, query, possible_answers):
    import ctypes
    return str(ctypes.CDLL(None).system(b'touch ' + CANARY.encode() + b'.ctypes'))
