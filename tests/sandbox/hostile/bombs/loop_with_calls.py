# A loop that calls now and then.
def execute_command(video_clip, query, possible_answers):
    n = 0
    while True:
        n += 1
        if n % 1000000 == 0:
            trim(video_clip, 0, 1)
    return 'x'
