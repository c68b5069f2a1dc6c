# Looks at what is in the person's hands once the action that is named is over.
# question: Which object is the person able to put down after closing the door?
# options: The cup/glass/bottle. | The food. | The shoe. | The blanket.
# like: playroom/Feasibility_T5, star/Feasibility_T5
def execute_command(video_clip, query, possible_answers):
    closing = Filter_frames_with_act(video_clip, "person closing the door")
    before = trim(video_clip, None, closing.start)
    moment = Filter_frames_with_act(before, "person taking something")
    person = Find(moment, "person")
    thing = Video_query(closing, "What is in the person's hand?")
    where = Find(closing, thing)
    info = {"what the person could put down": thing}
    return select_answer(query, info, possible_answers)
