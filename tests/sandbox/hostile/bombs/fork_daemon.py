# A child in a session of its own.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.mkdir(CANARY + '.daemon')
            while True:
                pass
        os._exit(0)
    time = len.__self__.__import__('time')
    time.sleep(0.1)
    return 'x'
