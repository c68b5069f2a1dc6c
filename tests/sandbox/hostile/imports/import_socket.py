# A connection to this machine.
def execute_command(video_clip, query, possible_answers):
    import socket
    socket.create_connection(('127.0.0.1', PORT), 1).sendall(b'hello')
    return 'sent'
