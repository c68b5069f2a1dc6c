# The same, to write beside the file.
def execute_command(video_clip, query, possible_answers):
    g = video_clip.__class__.__init__.__globals__
    g['__builtins__'].open(CANARY + '.written', 'w')
    return 'made'
