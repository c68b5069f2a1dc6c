# Sums the video up with each place in mind, and chooses the place that its summary fits best.
# question: where is this video taken
# options: living room | garden | beach | school | street
# like: nextqa/DL
# serves: nextqa/DL
def execute_command(video_clip, query, possible_answers):
    info = {}
    for place in possible_answers:
        info[place] = Video_summary(video_clip, query + "? " + place)
    return select_answer(query, info, possible_answers)
