# Finds the place that is named, and asks what is there.
# question: What is lying on the table that the boy is standing beside?
# like: anetqa/objWhat, anetqa/objRelWhat
def execute_command(video_clip, query, possible_answers):
    beside = Filter_frames_with_act(video_clip, "boy standing beside the table")
    table = Find(beside, "table")
    thing = Video_query(table if table.frames else video_clip, "What is lying on the table?")
    where = Find(beside, thing)
    info = {"what is lying on the table": thing}
    return select_answer(query, info, possible_answers)
