"""Specialists that look at nothing: findings of the right kind, drawn by a hash of what was asked.

For rehearsals: whether programs run to their end before a model is loaded or a video is at hand, and for
tests. The same question always gets the same findings; most things are found, some are not. An answer
that comes of them is a guess, and no chain of thought of theirs is worth anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aotd.records import Detection, Question, SpanFinding
from aotd.specialists import SpecialistsConfig
from aotd.video.clip import Clip, Pixels

_FOUND = 0.85
"""Share of what is looked for that is found."""
_NAMES = ("door", "book", "bag", "towel", "cup/glass/bottle")
_ACTIONS = ("opening the door", "holding the book", "sitting on the bed", "putting down the bag")


@dataclass(frozen=True)
class MockVideo:
    """A video without a file: grey frames."""

    video_id: str
    frames: int
    start_s: float
    end_s: float
    width: int = 64
    height: int = 48

    @property
    def content(self) -> str:
        """Of the id: all are grey, but what is drawn for one is not what is drawn for another."""
        return hashlib.sha256(f"grey {self.video_id}".encode()).hexdigest()

    def pixels(self) -> Pixels:
        """Grey frames, `[frames, height, width, 3]`."""
        return np.full((self.frames, self.height, self.width, 3), 128, dtype=np.uint8)


class Mock:
    """Source and specialist of every sub-task."""

    model = "mock-1"

    def __init__(self, frames: int) -> None:
        self._frames = frames

    def open(self, question: Question) -> MockVideo:
        """A video of the question's part; 30 s where it names none."""
        start_s = question.start_s or 0.0
        return MockVideo(question.video_id, self._frames, start_s, question.end_s or start_s + 30.0)

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """A box on some of the clip's frames, inside what the clip shows of each."""
        drawn = _draw(clip, "detect", query)
        if drawn.random() > _FOUND:
            return []
        boxes = []
        for number in clip.numbers:
            left, top, right, bottom = clip.crops.get(number, (0.0, 0.0, clip.video.width, clip.video.height))
            x = sorted(left + (right - left) * drawn.random(2))
            y = sorted(top + (bottom - top) * drawn.random(2))
            score = round(float(drawn.random()), 3)
            if drawn.random() < 0.5:
                box = (round(x[0], 1), round(y[0], 1), round(x[1], 1), round(y[1], 1))
                boxes.append(Detection(frame=number, box=box, label=query, score=score))
        return boxes

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """A stretch of the clip."""
        drawn = _draw(clip, "ground", query)
        if not clip.numbers or drawn.random() > _FOUND:
            return None
        first, last = sorted(drawn.choice(clip.numbers, size=2).tolist())
        return SpanFinding(start=first, end=last + 1, score=round(float(drawn.random()), 3))

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """The candidates, or a few actions, in some order."""
        drawn = _draw(clip, "actions", obj or "", *candidates)
        return [str(name) for name in drawn.permutation(list(candidates or _ACTIONS))]

    def answer(self, clip: Clip, question: str) -> str:
        """The name of some thing."""
        return str(_draw(clip, "answer", question).choice(_NAMES))

    def summarise(self, clip: Clip, query: str) -> str:
        """That someone does something."""
        return f"A person is {_draw(clip, 'summarise', query).choice(_ACTIONS)}."

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """Some option; without options, what was told first."""
        if not options:
            return next(iter(info.values()), None)
        return str(_seeded("choose", question, *info.values(), *options).choice(list(options)))


def mock_specialist(settings: SpecialistsConfig) -> Mock:
    """Build the source and specialist of every sub-task that looks at nothing."""
    return Mock(settings.frames)


def _draw(clip: Clip, *words: str) -> np.random.Generator:
    return _seeded(clip.video.video_id, str(clip.numbers), str(sorted(clip.crops.items())), *words)


def _seeded(*words: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
