# Looks at one thing in what follows the earlier action.
# question: What did the person do to the book after taking the bag?
# options: Closed. | Threw. | Took. | Opened.
# like: playroom/Sequence_T5, star/Sequence_T5
def execute_command(video_clip, query, possible_answers):
    earlier = Filter_frames_with_act(video_clip, "person taking the bag")
    after = trim(video_clip, earlier.end, None)
    moment = Filter_frames_with_act(after, "person interacting with the book")
    person = Find(moment, "person")
    book = Find(moment, "book")
    actions = Query_Actions(moment, "book", possible_answers)
    info = {"what the person did to the book": actions[:1]}
    return select_answer(query, info, possible_answers)
