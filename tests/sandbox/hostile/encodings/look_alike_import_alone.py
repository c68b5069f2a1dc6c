# The look-alike and nothing else that is refused.
def execute_command(video_clip, query, possible_answers):
    return str(__𝒾mport__('os'))
