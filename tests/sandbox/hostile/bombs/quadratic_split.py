# A search that is quadratic.
def execute_command(video_clip, query, possible_answers):
    x = 'a' * 10000000
    while True:
        x.find('a' * 5000000 + 'b')
    return 'x'
