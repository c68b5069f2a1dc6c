# A child that outlives the answer.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    if not os.fork():
        os.mkdir(CANARY + '.child')
        while True:
            pass
    len.__self__.__import__('time').sleep(0.1)
    return 'x'
