# Finds the later action, and asks what the earlier one is done with in what comes before it.
# question: Which object did the person put down before they opened the closet/cabinet?
# options: The broom. | The bag. | The clothes. | The paper/notebook.
# like: playroom/Sequence_T2, star/Sequence_T2
def execute_command(video_clip, query, possible_answers):
    later = Filter_frames_with_act(video_clip, "person opening the closet/cabinet")
    before = trim(video_clip, None, later.start)
    moment = Filter_frames_with_act(before, "person putting down something")
    person = Find(moment, "person")
    thing = Video_query(moment, "What is the person putting down?")
    where = Find(moment, thing)
    info = {"what the person is putting down": thing}
    return select_answer(query, info, possible_answers)
