# Looks for the description of the video that fits each number, and chooses the one that fits best.
# question: how many people are on stage
# options: two | four | five | one | seven
# like: nextqa/DC
# serves: nextqa/DC
def execute_command(video_clip, query, possible_answers):
    info = {}
    for number in possible_answers:
        info[number] = Video_summary(video_clip, query + "? " + number)
    return select_answer(query, info, possible_answers)
