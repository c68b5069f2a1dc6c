# The chain of exceptions.
def execute_command(video_clip, query, possible_answers):
    try:
        try:
            1 / 0
        finally:
            open(CANARY)
    except ValueError.__base__ as error:
        return str(error.__context__)
