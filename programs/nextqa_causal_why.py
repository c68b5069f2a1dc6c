# Finds the moment asked about, takes the three reasons that fit it best, and sees which one the video bears out.
# question: why did the boy pick up one present from the group of them and move to the sofa
# options: share with the girl | approach lady sitting there | unwrap it | playing with toy train | gesture something
# like: nextqa/CW
# serves: nextqa/CW
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, query)
    likely = Query_Actions(moment, None, possible_answers)[:3] or possible_answers
    info = {}
    for reason in likely:
        info[reason] = Video_summary(video_clip, reason)
    return select_answer(query, info, likely)
