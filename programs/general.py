# Looks at the whole video, and at every thing the question names, then chooses.
# question: What happened in the video?
# options: The person opened the door. | The person sat down on the sofa/couch.
# serves: *
def execute_command(video_clip, query, possible_answers):
    summary = Video_summary(video_clip, query)
    actions = Query_Actions(video_clip, None, possible_answers)
    info = {"summary of the video": summary, "actions in the video": actions}
    return select_answer(query, info, possible_answers)
