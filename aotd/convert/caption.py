"""Writer `caption`: what is told of a question's video, in place of reasons.

A control: a student that learns from as much text about the same videos, none of which is a reason for an answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from aotd.datasets.captions import read_captions
from aotd.datasets.reader import given_file
from aotd.records import Question


def captions_file(path: str) -> Path:
    """Return the file that `convert.captions` names.

    Raises:
        UserError: no file is named, or none is there.
    """
    return given_file("convert.captions", path, "a file with a caption of each video")


def captions_of(path: str) -> Mapping[str, str]:
    """Read what is told of each video, by the video's name without its ending.

    Raises:
        UserError: no file is named, or one that holds no captions.
    """
    told: dict[str, list[str]] = defaultdict(list)
    for caption in read_captions(captions_file(path)):
        told[caption.video_id].append(caption.caption)
    return {video: " ".join(captions) for video, captions in told.items()}


def caption_of(question: Question, captions: Mapping[str, str]) -> str | None:
    """Return what is told of a question's video, None for nothing."""
    return captions.get(PurePosixPath(question.video or question.video_id).stem)
