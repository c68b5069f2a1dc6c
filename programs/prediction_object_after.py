# Passes the action that is named, then looks at the last frames.
# question: Which object would the person open next after they put down the clothes?
# options: The door. | The box. | The window. | The bag.
# like: playroom/Prediction_T4, star/Prediction_T4
def execute_command(video_clip, query, possible_answers):
    earlier = Filter_frames_with_act(video_clip, "person putting down the clothes")
    after = trim(video_clip, earlier.end, None)
    ending = trim(after, after.end - 6, None)
    person = Find(ending, "person")
    thing = Video_query(ending, "Which thing is the person about to open?")
    where = Find(ending, thing)
    info = {"the thing the person is about to open": thing}
    return select_answer(query, info, possible_answers)
