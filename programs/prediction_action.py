# Looks at how the person stands in the last frames, and asks what that leads to.
# question: What will the person do next?
# options: Open the box. | Take the towel. | Sit on the chair. | Throw the pillow.
# like: playroom/Prediction_T1, star/Prediction_T1
def execute_command(video_clip, query, possible_answers):
    ending = trim(video_clip, video_clip.end - 6, None)
    person = Find(ending, "person")
    coming = Video_query(ending, "What is the person about to do?")
    info = {"what the person is about to do": coming}
    return select_answer(query, info, possible_answers)
