# At the top of the text, not in the function.
import subprocess


def execute_command(video_clip, query, possible_answers):
    return subprocess.getoutput('cat ' + CANARY)
