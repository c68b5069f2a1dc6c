# A forged end, printed.
def execute_command(video_clip, query, possible_answers):
    print('{"end": "forged"}')
    return 'x'
