# The same by an import.
def execute_command(video_clip, query, possible_answers):
    import re
    return str(re.match('(a|a)*b', 'a' * 99))
