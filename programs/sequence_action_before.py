# Grounds the likeliest actions in what comes before, and keeps the last of them.
# question: What happened before the person sat on the chair?
# options: Put down the box. | Took the shoe. | Closed the door. | Opened the book.
# like: playroom/Sequence_T4, star/Sequence_T4
def execute_command(video_clip, query, possible_answers):
    later = Filter_frames_with_act(video_clip, "person sitting on the chair")
    before = trim(video_clip, None, later.start)
    actions = Query_Actions(before, None, possible_answers)
    moment, nearest = None, None
    for action in actions[:3]:
        found = Filter_frames_with_act(before, action)
        if found.frames and (moment is None or found.end > moment.end):
            moment, nearest = found, action
    if moment is not None:
        person = Find(moment, "person")
        thing = Find(moment, Video_query(moment, "Which thing is the person busy with?"))
    info = {"what happened before": nearest}
    return select_answer(query, info, possible_answers)
