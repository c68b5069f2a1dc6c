# A pattern reads attributes.
def execute_command(video_clip, query, possible_answers):
    match len:
        case object(__self__=module):
            return module.open(CANARY).read()
    return 'x'
