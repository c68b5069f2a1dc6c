# Looks only at the time in which the person is doing the other thing, and keeps the action that fills most of it.
# question: What did the person do while they were holding the towel?
# options: Closed the box. | Took the book. | Opened the door. | Sat on the chair.
# like: playroom/Interaction_T3, star/Interaction_T3
def execute_command(video_clip, query, possible_answers):
    meanwhile = Filter_frames_with_act(video_clip, "person holding the towel")
    towel = Find(meanwhile, "towel")
    actions = Query_Actions(meanwhile, None, possible_answers)
    moment, chosen = None, None
    for action in actions[:3]:
        found = Filter_frames_with_act(meanwhile, action)
        if found.frames and (moment is None or len(found.frames) > len(moment.frames)):
            moment, chosen = found, action
    if moment is not None:
        person = Find(moment, "person")
        thing = Find(moment, Video_query(moment, "Which thing is the person busy with?"))
    info = {"what the person did while holding the towel": chosen}
    return select_answer(query, info, possible_answers)
