# A path as what is looked for.
def execute_command(video_clip, query, possible_answers):
    return str(Query_Objs(video_clip, CANARY)[0].label == 1) + Video_query(video_clip, 'file://' + CANARY)
