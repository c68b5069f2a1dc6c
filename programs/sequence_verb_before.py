# Looks at one thing in what comes before the later action.
# question: What did the person do to the cup/glass/bottle before holding the dish?
# options: Took. | Put down. | Closed. | Washed.
# like: playroom/Sequence_T6, star/Sequence_T6
def execute_command(video_clip, query, possible_answers):
    later = Filter_frames_with_act(video_clip, "person holding the dish")
    before = trim(video_clip, None, later.start)
    moment = Filter_frames_with_act(before, "person interacting with the cup/glass/bottle")
    person = Find(moment, "person")
    cup = Find(moment, "cup/glass/bottle")
    actions = Query_Actions(moment, "cup/glass/bottle", possible_answers)
    info = {"what the person did to the cup/glass/bottle": actions[:1]}
    return select_answer(query, info, possible_answers)
