# Follows the person through the moment, and asks what they have to do with the thing.
# question: What is the woman in the red coat doing with the ball before she throws it?
# like: anetqa/relWhat
def execute_command(video_clip, query, possible_answers):
    throwing = Filter_frames_with_act(video_clip, "woman throwing the ball")
    before = trim(video_clip, None, throwing.start) if throwing.frames else video_clip
    woman = Find(before, "woman in a red coat")
    ball = Find(before, "ball")
    doing = Video_query(before, "What is the woman in the red coat doing with the ball?")
    info = {"what the woman does with the ball": doing}
    return select_answer(query, info, possible_answers)
