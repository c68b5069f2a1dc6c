# A submodule brings its parent.
def execute_command(video_clip, query, possible_answers):
    import os.path
    os.remove(CANARY)
    return 'removed'
