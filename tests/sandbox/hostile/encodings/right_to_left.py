# Text that shows otherwise than it runs.
def execute_command(video_clip, query, possible_answers):
    x = 'a‮' # ⁦ 'b'
    return len.__self__.open(CANARY).read()
