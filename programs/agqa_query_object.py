# Grounds the action, looks there for what it is done with, and asks for its name.
# question: What was the person holding while they were sitting on the bed?
# like: agqa/query
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "person sitting on the bed")
    person = Find(moment, "person")
    held = Video_query(moment, "What is the person holding?")
    where = Find(moment, held)
    info = {"what the person is holding": held}
    return select_answer(query, info, possible_answers)
