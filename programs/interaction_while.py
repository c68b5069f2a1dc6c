# Looks only at the time in which the person is doing the other thing.
# question: What did the person do while they were holding the towel?
# options: Closed the box. | Took the book. | Opened the door. | Sat on the chair.
# like: playroom/Interaction_T3, star/Interaction_T3
def execute_command(video_clip, query, possible_answers):
    meanwhile = Filter_frames_with_act(video_clip, "person holding the towel")
    person = Find(meanwhile, "person")
    towel = Find(meanwhile, "towel")
    actions = Query_Actions(meanwhile, None, possible_answers)
    info = {"what the person did while holding the towel": actions[:1]}
    return select_answer(query, info, possible_answers)
