# Finds the event named after "while", "as" or "when", and compares the two likeliest actions in that moment.
# question: what does the baby do as the dog walks away at the start
# options: follow the dog | clap her hands | lie down | play with the toy | drink from the bottle
# like: nextqa/TC
# serves: nextqa/TC
def execute_command(video_clip, query, possible_answers):
    event = query
    for word in [" as ", " while ", " when ", " during "]:
        if event == query and word in query:
            event = query.split(word, 1)[1]
    moment = Filter_frames_with_act(video_clip, event)
    likely = Query_Actions(video_clip, None, possible_answers)[:2] or possible_answers
    info = {}
    for action in likely:
        info[action] = Video_summary(moment, action)
    return select_answer(query, info, likely)
