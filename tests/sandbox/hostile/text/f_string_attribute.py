# An f-string takes any expression.
def execute_command(video_clip, query, possible_answers):
    return f'{video_clip.__class__.__init__.__globals__}'
