# Looks for both things, and joins what was found as the question does.
# question: Were both a towel and a bag in the video?
# like: agqa/logic
def execute_command(video_clip, query, possible_answers):
    towel = exist(video_clip, "towel")
    bag = exist(video_clip, "bag")
    info = {"both were seen": towel and bag, "a towel was seen": towel, "a bag was seen": bag}
    return select_answer(query, info, possible_answers)
