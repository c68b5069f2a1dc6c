# A crash of the interpreter.
def execute_command(video_clip, query, possible_answers):
    ctypes = len.__self__.__import__('ctypes')
    return str(ctypes.string_at(0))
