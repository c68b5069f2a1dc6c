# Time without work.
def execute_command(video_clip, query, possible_answers):
    len.__self__.__import__('time').sleep(99)
    return 'x'
