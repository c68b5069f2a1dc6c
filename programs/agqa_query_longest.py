# Grounds each action that is seen, and keeps the one that takes the most frames.
# question: What did the person spend the longest time doing?
# like: agqa/query
def execute_command(video_clip, query, possible_answers):
    longest, most = None, 0
    for action in Query_Actions(video_clip)[:4]:
        moment = Filter_frames_with_act(video_clip, action)
        if len(moment.frames) > most:
            longest, most = action, len(moment.frames)
    info = {"what took the longest": longest or Video_summary(video_clip, query)}
    return select_answer(query, info, possible_answers)
