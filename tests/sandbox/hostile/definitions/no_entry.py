# Does not define the entry.
def other(video_clip):
    return 'x'
