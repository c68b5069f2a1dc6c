# Chooses between the two ways that the video fits best, then finds when the chosen one is seen.
# question: how do the two man play the instrument
# options: roll the handle | tap their feet | strum the string | hit with sticks | pat with hand
# like: nextqa/CH
# serves: nextqa/CH
def execute_command(video_clip, query, possible_answers):
    likely = Query_Actions(video_clip, None, possible_answers)[:2] or possible_answers
    info = {}
    for way in likely:
        info[way] = Video_summary(video_clip, way)
    answer = select_answer(query, info, likely)
    Filter_frames_with_act(video_clip, query + "? " + answer)
    return answer
