# Looks only at the time in which both things hold.
# question: What did the person do while they were holding the dish and sitting on the sofa/couch?
# options: Took the sandwich. | Put down the dish. | Opened the laptop. | Threw the pillow.
# like: playroom/Interaction_T4, star/Interaction_T4
def execute_command(video_clip, query, possible_answers):
    holding = Filter_frames_with_act(video_clip, "person holding the dish")
    meanwhile = Filter_frames_with_act(holding, "person sitting on the sofa/couch")
    person = Find(meanwhile, "person")
    dish = Find(meanwhile, "dish")
    actions = Query_Actions(meanwhile, None, possible_answers)
    info = {"what the person did meanwhile": actions[:1]}
    return select_answer(query, info, possible_answers)
