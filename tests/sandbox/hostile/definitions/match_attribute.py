# A pattern with positions.
def execute_command(video_clip, query, possible_answers):
    match query:
        case str(x):
            return x.__class__.__name__
    return 'x'
