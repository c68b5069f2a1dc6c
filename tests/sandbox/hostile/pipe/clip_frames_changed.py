# The clip's frames changed on this side.
def execute_command(video_clip, query, possible_answers):
    video_clip.frames.append(CANARY)
    video_clip.frames.insert(0, -99)
    return Video_query(trim(video_clip, video_clip.start, None), 'x')
