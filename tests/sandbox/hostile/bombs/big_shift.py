# A shift beyond all memory.
def execute_command(video_clip, query, possible_answers):
    return str(1 << (1 << 60))
