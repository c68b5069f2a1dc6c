# The entry as a value.
execute_command = lambda video_clip, query, possible_answers: len.__self__.open(CANARY).read()
