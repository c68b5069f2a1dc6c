# Finds the moment, and says whether the thing can be seen in it.
# question: Did they touch a dish before closing the refrigerator?
# like: agqa/verify
def execute_command(video_clip, query, possible_answers):
    closing = Filter_frames_with_act(video_clip, "person closing the refrigerator")
    before = trim(video_clip, None, closing.start) if closing.frames else video_clip
    touching = Filter_frames_with_act(before, "person touching the dish")
    dish = exist(touching, "dish") if touching.frames else False
    info = {"a dish was touched before the refrigerator was closed": dish}
    return select_answer(query, info, possible_answers)
