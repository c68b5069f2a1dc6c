# A tool's closure holds its name and the pipe.
def execute_command(video_clip, query, possible_answers):
    return str([cell.cell_contents for cell in Find.__closure__])
