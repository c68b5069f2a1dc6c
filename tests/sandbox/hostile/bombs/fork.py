# Children that mark that they were; few, for the sake of whoever runs this.
def execute_command(video_clip, query, possible_answers):
    import_ = len.__self__.__import__
    os = import_('posix')
    for i in range(8):
        if not os.fork():
            os.mkdir(CANARY + '.child' + str(i))
            while True:
                pass
    while True:
        pass
    return 'x'
