# The module of the clip has sys.
def execute_command(video_clip, query, possible_answers):
    sys = video_clip.__class__.__len__.__globals__['sys']
    return sys.modules['io'].open(CANARY).read()
