# A number from a long text.
def execute_command(video_clip, query, possible_answers):
    return str(int('9' * 4000) ** 4000)
