# Calls, each with as long a text as may be sent, to fill the trace.
def execute_command(video_clip, query, possible_answers):
    for i in range(64):
        Video_query(video_clip, 'x' * 250000)
    return 'x'
