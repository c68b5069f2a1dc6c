# Looks at the person and the thing in the last frames.
# question: What will the person do next with the laptop?
# options: Put down. | Open. | Close. | Take.
# like: playroom/Prediction_T2, star/Prediction_T2
def execute_command(video_clip, query, possible_answers):
    ending = trim(video_clip, video_clip.end - 6, None)
    person = Find(ending, "person")
    laptop = Find(ending, "laptop")
    coming = Video_query(ending, "What is the person about to do with the laptop?")
    info = {"what the person is about to do with the laptop": coming}
    return select_answer(query, info, possible_answers)
