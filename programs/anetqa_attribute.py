# Finds the thing, looks at it alone, and asks for its attribute.
# question: What is the colour of the shirt of the man who is washing the car?
# like: anetqa/attrWhat, anetqa/attrRelWhat
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, "man washing the car")
    man = Find(moment, "man")
    shirt = Find(man, "shirt")
    colour = Video_query(shirt if shirt.frames else man, "What colour is the shirt?")
    info = {"the colour of the shirt": colour}
    return select_answer(query, info, possible_answers)
