# Grounds both events and compares when they start.
# question: Did the person open the door before or after taking the phone/camera?
# like: agqa/compare, agqa/choose
def execute_command(video_clip, query, possible_answers):
    opening = Filter_frames_with_act(video_clip, "person opening the door")
    taking = Filter_frames_with_act(video_clip, "person taking the phone/camera")
    earlier = Compare(opening, taking)
    told = "before" if earlier == "first" else "after"
    info = {"the door was opened before or after the phone/camera was taken": told}
    return select_answer(query, info, possible_answers)
