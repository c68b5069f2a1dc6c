# A coroutine has a frame too.
def execute_command(video_clip, query, possible_answers):
    async def f():
        return 1
    c = f()
    return c.cr_frame.f_builtins['open'](CANARY).read()
