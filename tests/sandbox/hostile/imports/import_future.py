# The one import that is part of the language.
from __future__ import annotations


def execute_command(video_clip, query, possible_answers):
    return str(annotations)
