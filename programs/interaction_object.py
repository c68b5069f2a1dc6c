# Finds the moment of the action, asks what it is done with, and looks where that is.
# question: Which object was opened by the person?
# options: The bag. | The door. | The book. | The laptop.
# like: playroom/Interaction_T1, star/Interaction_T1
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "person opening something")
    person = Find(moment, "person")
    thing = Video_query(moment, "What is the person opening?")
    where = Find(moment, thing)
    info = {"what the person is opening": thing}
    return select_answer(query, info, possible_answers)
