"""Writer `caption`: what is told of a question's video, in place of reasons.

A control: a student that learns from as much text about the same videos, none of which is a reason for an answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
    """Read what is told of each video, by its file without its ending, and by that file's name if it is the only one.

    Raises:
        UserError: no file is named, or one that holds no captions.
    """
    told: dict[str, list[str]] = defaultdict(list)
    for caption in read_captions(captions_file(path)):
        told[_without_ending(caption.video)].append(caption.caption)
    names = Counter(PurePosixPath(video).name for video in told)
    found = {PurePosixPath(video).name: video for video in told}
    by_name = {name: told[video] for name, video in found.items() if names[name] == 1}
    return {video: " ".join(captions) for video, captions in {**by_name, **told}.items()}


def caption_of(question: Question, captions: Mapping[str, str]) -> str | None:
    """Return what is told of a question's video, None for nothing."""
    video = _without_ending(question.video or question.video_id)
    return captions.get(video, captions.get(PurePosixPath(video).name))


def _without_ending(video: str) -> str:
    return str(PurePosixPath(video).with_suffix("")) if PurePosixPath(video).name else video
