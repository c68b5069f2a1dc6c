# A representation that never ends.
def execute_command(video_clip, query, possible_answers):
    x = []
    x.append(x)
    x = {'x': x, 'y': [x] * 1000}
    return ('%r' % x) * 9999999
