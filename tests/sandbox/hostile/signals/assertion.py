# An assertion.
def execute_command(video_clip, query, possible_answers):
    assert not query, 'x' * 100000
    return 'x'
