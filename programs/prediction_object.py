# Looks at the last frames for the thing that the person is turning to.
# question: Which object would the person take next?
# options: The dish. | The shoe. | The book. | The broom.
# like: playroom/Prediction_T3, star/Prediction_T3
def execute_command(video_clip, query, possible_answers):
    ending = trim(video_clip, video_clip.end - 6, None)
    person = Find(ending, "person")
    thing = Video_query(ending, "Which thing is the person about to take?")
    where = Find(ending, thing)
    info = {"the thing the person is about to take": thing}
    return select_answer(query, info, possible_answers)
