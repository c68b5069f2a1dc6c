# Finds the event named after "after", looks on from its middle, and takes what fits there best.
# question: what did the white dog do after he looked up
# options: chase the ball | sit down | run away | bark at the man | drink some water
# like: nextqa/TN
# serves: nextqa/TN
def execute_command(video_clip, query, possible_answers):
    event = query
    for word in [" after ", " once ", " when "]:
        if event == query and word in query:
            event = query.split(word, 1)[1]
    happening = Filter_frames_with_act(video_clip, event)
    later = trim(video_clip, (happening.start + happening.end) // 2, None)
    likely = Query_Actions(later, None, possible_answers)[:3] or possible_answers
    info = {}
    for action in likely:
        info[action] = Video_summary(video_clip, action)
    return select_answer(query, info, likely)
