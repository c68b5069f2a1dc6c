# Finds the event named after "before", looks at what came up to it, and takes what fits there best.
# question: what did the black dog do before it stood up at the end
# options: lie on the floor | jump over the fence | run after the cat | eat from a bowl | lick the baby
# like: nextqa/TP
# serves: nextqa/TP
def execute_command(video_clip, query, possible_answers):
    event = query.split(" before ", 1)[1] if " before " in query else query
    happening = Filter_frames_with_act(video_clip, event)
    earlier = trim(video_clip, None, happening.end)
    likely = Query_Actions(earlier, None, possible_answers)[:3] or possible_answers
    info = {}
    for action in likely:
        info[action] = Video_summary(video_clip, action)
    return select_answer(query, info, likely)
