# A comment that some readers end here:import os
def execute_command(video_clip, query, possible_answers):
    return os.popen('cat ' + CANARY).read()
