# A class whose body runs.
def execute_command(video_clip, query, possible_answers):
    class A:
        x = open(CANARY).read()
    return A.x
