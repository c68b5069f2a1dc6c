"""The frames a student sees, and what their numbers are.

The specialists sample `seen` frames and number them `0 … seen - 1`; every number in a rationale is one
of those. A student sees fewer frames, spread evenly over the specialists' ones, and is told the
specialists' number of each: its `k`-th of `count` frames is number `floor((k + 0.5) * seen / count)`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aotd.config import Config
from aotd.records import Question
from aotd.specialists import SOURCES
from aotd.specialists.base import Source
from aotd.video.clip import Pixels, Video


@dataclass(frozen=True)
class Sight:
    """How a student sees a video."""

    seen: int
    """Frames the specialists sample."""
    frames: int
    """Frames the student is given."""
    image: int
    """Side of each in pixels."""


@dataclass(frozen=True)
class StudentFrames:
    """What a student sees of a video."""

    pixels: Pixels
    """RGB, `[count, image, image, 3]`."""
    seen: int
    """How many frames the specialists sampled."""
    start_s: float
    """Start of the question's part of the video, in seconds."""
    end_s: float

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The specialists' number of each frame, `[count]`."""
        return np.array(frame_numbers(self.seen, len(self.pixels)), dtype=np.int64)


def frame_numbers(seen: int, count: int) -> list[int]:
    """The specialists' numbers of a student's `count` frames; a frame is seen twice where there are too few."""
    return [int((k + 0.5) * seen / count) for k in range(count)]


def shrink(video: Video, sight: Sight) -> StudentFrames:
    """A video as a student sees it. The picture is squeezed into a square: width and height scale by themselves.

    Raises:
        QuestionError: `video_unreadable`.
    """
    frames = video.pixels()
    small = [
        np.asarray(Image.fromarray(frames[n]).resize((sight.image, sight.image), Image.Resampling.BOX))
        for n in frame_numbers(len(frames), sight.frames)
    ]
    return StudentFrames(np.stack(small), len(frames), video.start_s, video.end_s)


class FrameCache:
    """Student frames of a run's videos, decoded once: in memory, and as .npz files in a folder."""

    def __init__(self, folder: Path, source: Source, sight: Sight) -> None:
        self._folder, self._source, self._sight = folder, source, sight
        self._held: dict[str, StudentFrames] = {}

    def frames(self, question: Question) -> StudentFrames:
        """What the student sees of a question's video.

        Raises:
            QuestionError: `video_unreadable`.
        """
        part = (question.dataset, question.video_id, question.video, question.start_s, question.end_s)
        key = hashlib.sha256(json.dumps([part, self._source.model, astuple(self._sight)]).encode()).hexdigest()[:24]
        if key not in self._held:
            path = self._folder / f"{key}.npz"
            if path.is_file():
                self._held[key] = _read(path)
            else:
                self._held[key] = shrink(self._source.open(question), self._sight)
                _write(path, self._held[key])
        return self._held[key]


def run_frames(config: Config, sight: Sight) -> FrameCache:
    """The student frames of a run, kept below its distill/.

    Raises:
        UserError: the folder of the videos is not there.
    """
    source = SOURCES[config.specialists.source](replace(config.specialists, frames=sight.seen), config.dataset.root)
    return FrameCache(Path(config.run) / "distill" / "frames", source, sight)


def _read(path: Path) -> StudentFrames:
    with np.load(path, allow_pickle=False) as held:
        seen, (start_s, end_s) = int(held["seen"]), held["part"].tolist()
        return StudentFrames(held["pixels"], seen, start_s, end_s)


def _write(path: Path, frames: StudentFrames) -> None:
    """Write an array so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = io.BytesIO()
    part = np.array([frames.start_s, frames.end_s])
    np.savez(held, pixels=frames.pixels, seen=np.array(frames.seen), part=part)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(held.getvalue())
    partial.replace(path)
