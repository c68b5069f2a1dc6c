# Code made of bytes.
def execute_command(video_clip, query, possible_answers):
    code = execute_command.__code__.replace(co_code=b'd\x00S\x00')
    return str(code)
