# Looks for the thing in the frames that show the other one.
# question: Is there a dog next to the person who is playing the guitar?
# like: anetqa/objExist, anetqa/objRelExist
def execute_command(video_clip, query, possible_answers):
    playing = Filter_frames_with_act(video_clip, "person playing the guitar")
    dog = Filter_frames_with_obj(playing, "dog")
    beside = Video_query(dog, "Is the dog next to the person?") if dog.frames else "no dog is seen"
    info = {"a dog next to the person": beside}
    return select_answer(query, info, possible_answers)
