# Codes that clear a terminal.
def execute_command(video_clip, query, possible_answers):
    raise ValueError('\x1b[2J\x1b[31m kept \r\n kept')
    return 'x'
