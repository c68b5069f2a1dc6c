# Finds when the person handles the thing, then asks which action it is.
# question: What did the person do with the blanket?
# options: Put down. | Took. | Threw. | Tidied up.
# like: playroom/Interaction_T2, star/Interaction_T2
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "person interacting with the blanket")
    person = Find(moment, "person")
    blanket = Find(moment, "blanket")
    actions = Query_Actions(moment, "blanket", possible_answers)
    info = {"what the person did with the blanket": actions[:1]}
    return select_answer(query, info, possible_answers)
