# Of the things the action could be done with, leaves out the one it was done with.
# question: Which other object is possible to be closed by the person?
# options: The door. | The bed. | The laptop. | The pillow.
# like: playroom/Feasibility_T1, playroom/Feasibility_T3, star/Feasibility_T1, star/Feasibility_T3
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "person closing something")
    person = Find(moment, "person")
    used = Video_query(moment, "What is the person closing?")
    possible = Video_query(video_clip, "Which other things could the person close?")
    possible = ", ".join([name for name in possible.split(", ") if name != used])
    where = Find(video_clip, possible)
    info = {"other things the person could close": possible}
    return select_answer(query, info, possible_answers)
