"""A clip: which frames of a video, and which part of each.

A clip never copies pixels. It names frames by their numbers in the video's uniform sample, so that a
frame number means the same frame before and after trimming, filtering and cropping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aotd.records import Box

Pixels = NDArray[np.uint8]

THINNEST = 4
"""Pixels; models that were made for pictures cannot be given a thinner strip."""


class Video(Protocol):
    """A video as specialists see it: some frames sampled uniformly from the question's part of it."""

    @property
    def video_id(self) -> str: ...
    @property
    def frames(self) -> int:
        """How many frames are sampled; they are numbered `0 … frames - 1`."""
        ...

    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def content(self) -> str:
        """A digest of what the frames come from, 64 hex digits; it may have to be read first.

        Two videos with equal content, part (`start_s`, `end_s`) and number of frames show the same pixels, whatever
        they are called.

        Raises:
            QuestionError: `video_unreadable`.
        """
        ...

    def pixels(self) -> Pixels:
        """All sampled frames, RGB, `[frames, height, width, 3]`.

        Raises:
            QuestionError: `video_unreadable`.
        """
        ...


def part_shown(start_s: float | None, end_s: float | None, duration_s: float) -> tuple[float, float] | None:
    """The part of a video that is shown where an annotation asks for one: it ends with the video at the latest.

    Returns:
        Its start and end in seconds; None where no part of it is in the video.
    """
    start, end = start_s or 0.0, duration_s if end_s is None else min(end_s, duration_s)
    return (start, end) if 0 <= start < end else None


def frame_times(start_s: float, end_s: float, frames: int) -> list[float]:
    """The moments at which `frames` uniform frames are taken: the middle of each of `frames` equal parts."""
    part = (end_s - start_s) / frames
    return [start_s + (number + 0.5) * part for number in range(frames)]


def spread(numbers: Sequence[int], count: int) -> list[int]:
    """`count` of some frame numbers, evenly spread, or all of them where there are no more."""
    kept = min(count, len(numbers))
    return [numbers[int((k + 0.5) * len(numbers) / kept)] for k in range(kept)]


def span_seconds(start: int, end: int, start_s: float, end_s: float, frames: int) -> tuple[float, float]:
    """A span of frames `[start, end)` in seconds: frame `i` stands for the `i`-th of `frames` equal parts."""
    part = (end_s - start_s) / frames
    return start_s + start * part, start_s + end * part


@dataclass(frozen=True)
class Clip:
    """Some frames of a video, each whole or cropped to a box."""

    video: Video
    numbers: tuple[int, ...]
    """Frame numbers, ascending."""
    crops: dict[int, Box] = field(default_factory=dict)
    """Frame number -> the box that is left of it, in pixels of the original frame."""

    def __post_init__(self) -> None:
        assert list(self.numbers) == sorted(set(self.numbers)), "frame numbers must ascend"
        assert set(self.crops) <= set(self.numbers), "a crop of a frame that is not in the clip"

    @staticmethod
    def whole(video: Video) -> Clip:
        return Clip(video, tuple(range(video.frames)))

    def keep(self, numbers: Sequence[int]) -> Clip:
        """The clip with only those of its frames whose number is in `numbers`."""
        wanted = set(numbers)
        kept = tuple(number for number in self.numbers if number in wanted)
        return Clip(self.video, kept, {n: box for n, box in self.crops.items() if n in wanted})

    def span(self, start: int, end: int) -> Clip:
        """The clip with only its frames in `[start, end)`."""
        return self.keep([number for number in self.numbers if start <= number < end])

    def crop(self, boxes: dict[int, Box]) -> Clip:
        """The frames that have a box, each cropped to it."""
        return Clip(self.video, tuple(n for n in self.numbers if n in boxes), dict(boxes))

    def origin(self, number: int) -> tuple[int, int]:
        """Where the left upper corner of what the clip shows of a frame lies in the original frame: x, y."""
        x1, y1 = (max(round(value), 0) for value in self.crops.get(number, (0, 0))[:2])
        return x1, y1

    def shows(self, number: int) -> bool:
        """Whether what is left of a frame can be looked at: a crop may be too thin, or lie outside the frame."""
        height, width, _ = self.pixels(number).shape
        return bool(min(height, width) >= THINNEST)

    def pixels(self, number: int) -> Pixels:
        """One frame as the clip shows it, RGB, `[h, w, 3]`; cropped where the clip is."""
        assert number in self.numbers, f"frame {number} is not in the clip"
        frame: Pixels = self.video.pixels()[number]
        if number not in self.crops:
            return frame
        (left, top), (x1, y1, x2, y2) = self.origin(number), (round(value) for value in self.crops[number])
        part: Pixels = frame[top : max(y2, y1 + 1, 1), left : max(x2, x1 + 1, 1)]
        return part


def frame_numbers(seen: int, count: int) -> list[int]:
    """The specialists' numbers of a student's `count` frames; a frame is seen twice where there are too few."""
    return [int((k + 0.5) * seen / count) for k in range(count)]
