# Looks at what is done with the thing, and at what state it is left in.
# question: What else is the person able to do with the door?
# options: Hold the door. | Close the door. | Put down the door. | Throw the door.
# like: star/Feasibility_T2
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "person interacting with the door")
    person = Find(moment, "person")
    door = Find(moment, "door")
    state = Video_query(moment, "Is the door open or closed?")
    actions = Query_Actions(moment, "door", possible_answers)
    info = {"actions with the door": actions, "state of the door": state}
    return select_answer(query, info, possible_answers)
