# Finds both actions by themselves and compares where they start.
# question: What did the person do first, open the window or throw the pillow?
# options: Threw the pillow. | Opened the window.
# like: playroom/Ordering
def execute_command(video_clip, query, possible_answers):
    opening = Filter_frames_with_act(video_clip, "person opening the window")
    throwing = Filter_frames_with_act(video_clip, "person throwing the pillow")
    earlier = Compare(opening, throwing)
    moment = opening if earlier == "first" else throwing
    person = Find(moment, "person")
    told = "opened the window" if earlier == "first" else "threw the pillow"
    info = {"what the person did first": told}
    return select_answer(query, info, possible_answers)
