# Asks what could be done at the end of what comes after the action that is named.
# question: What is the person able to do after opening the refrigerator?
# options: Take the food. | Throw the pillow. | Sit on the bed. | Close the laptop.
# like: star/Feasibility_T4, star/Feasibility_T6
def execute_command(video_clip, query, possible_answers):
    earlier = Filter_frames_with_act(video_clip, "person opening the refrigerator")
    after = trim(video_clip, earlier.end, None)
    person = Find(after, "person")
    actions = Query_Actions(after, None, possible_answers)
    summary = Video_summary(after, query)
    info = {"what the person did afterwards": actions[:1], "summary of what comes afterwards": summary}
    return select_answer(query, info, possible_answers)
