# Asks what the video shows, then looks for each option in it, and chooses the one that fits best.
# question: what colour is the baby wearing
# options: red | white | blue | black | green
# like: nextqa/DO
# serves: nextqa/DO
def execute_command(video_clip, query, possible_answers):
    info = {"what is seen": Video_query(video_clip, query)}
    for option in possible_answers:
        info[option] = Video_summary(video_clip, query + "? " + option)
    return select_answer(query, info, possible_answers)
