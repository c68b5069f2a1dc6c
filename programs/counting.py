# Looks at all of them in every frame, then counts.
# question: How many shoes are there?
# options: 1 | 2 | 3 | 4
# like: playroom/Counting
def execute_command(video_clip, query, possible_answers):
    shoes = Query_Objs(video_clip, "shoe")
    number = Count(video_clip, "shoe")
    info = {"number of shoes": number}
    return select_answer(query, info, possible_answers)
