# Finds the earlier action, and asks what the later one is done with in what follows.
# question: Which object did the person take after they closed the refrigerator?
# options: The cup/glass/bottle. | The food. | The towel. | The shoe.
# like: playroom/Sequence_T1, star/Sequence_T1
def execute_command(video_clip, query, possible_answers):
    earlier = Filter_frames_with_act(video_clip, "person closing the refrigerator")
    after = trim(video_clip, earlier.end, None)
    moment = Filter_frames_with_act(after, "person taking something")
    person = Find(moment, "person")
    thing = Video_query(moment, "What is the person taking?")
    where = Find(moment, thing)
    info = {"what the person is taking": thing}
    return select_answer(query, info, possible_answers)
