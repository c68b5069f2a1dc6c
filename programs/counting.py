# Looks for all of them, and counts how many are seen at the same time.
# question: How many shoes are there?
# options: 1 | 2 | 3 | 4
# like: playroom/Counting
def execute_command(video_clip, query, possible_answers):
    shoes = Query_Objs(trim(video_clip, None, video_clip.start + 1), "shoe")
    number = Count(video_clip, "shoe")
    info = {"how many of shoe are there": number}
    return select_answer(query, info, possible_answers)
