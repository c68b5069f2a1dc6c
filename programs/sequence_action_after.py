# Grounds the likeliest actions in what follows, and keeps the first of them.
# question: What happened after the person took the phone/camera?
# options: Sat on the bed. | Opened the window. | Threw the pillow. | Closed the laptop.
# like: playroom/Sequence_T3, star/Sequence_T3
def execute_command(video_clip, query, possible_answers):
    earlier = Filter_frames_with_act(video_clip, "person taking the phone/camera")
    after = trim(video_clip, earlier.end, None)
    actions = Query_Actions(after, None, possible_answers)
    moment, nearest = None, None
    for action in actions[:3]:
        found = Filter_frames_with_act(after, action)
        if found.frames and (moment is None or found.start < moment.start):
            moment, nearest = found, action
    if moment is not None:
        person = Find(moment, "person")
        thing = Find(moment, Video_query(moment, "Which thing is the person busy with?"))
    info = {"what happened afterwards": nearest}
    return select_answer(query, info, possible_answers)
