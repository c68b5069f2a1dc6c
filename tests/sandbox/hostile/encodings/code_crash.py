# Bytes that crash the interpreter.
def execute_command(video_clip, query, possible_answers):
    f = lambda: 1
    f.__code__ = f.__code__.replace(co_code=b'\x64\xff' * 50, co_consts=(), co_stacksize=0)
    return str(f())
