"""What many tests share: a quiet environment and a small video that needs no file."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings

from aotd.cli.logs import configure
from aotd.records import Detection, Question, SpanFinding
from aotd.runtime.gc import all_stays
from aotd.specialists.protocols import Specialists
from aotd.video.clip import Clip, Pixels, Video

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Models this small are slower on several threads than on one, and the tests already take every core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The libraries' million objects stay: collecting among them while they are imported takes a fifth of that time.
all_stays()
# How long an example takes is the machine's affair: on a busy one it says nothing.
settings.register_profile("aotd", deadline=None)
settings.load_profile("aotd")


@pytest.fixture(autouse=True)
def _messages() -> None:
    """What the package says comes to standard error, as behind the command line."""
    configure(logging.INFO)


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_disks() -> Iterator[None]:
    """What a power cut would take is shown with `benchmarks.crash`, which stands in for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        yield


@dataclass
class BlankVideo:
    """A video of `frames` grey frames."""

    video_id: str = "v"
    frames: int = 8
    start_s: float = 0.0
    end_s: float = 8.0
    width: int = 40
    height: int = 30

    @property
    def content(self) -> str:
        return hashlib.sha256(f"{type(self).__name__} {self.video_id}".encode()).hexdigest()

    def pixels(self) -> Pixels:
        return np.full((self.frames, self.height, self.width, 3), 128, dtype=np.uint8)


@dataclass
class Scripted:
    """Specialists of every sub-task that say what the test tells them to."""

    model: str = "scripted"
    boxes: dict[str, list[Detection]] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    chosen: str | None = None

    def open(self, question: Question) -> Video:
        return BlankVideo(video_id=question.video_id)

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        return [box for box in self.boxes.get(query, []) if box.frame in clip.numbers]

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        span = self.spans.get(query)
        return SpanFinding(start=span[0], end=span[1], score=0.9) if span else None

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        return list(self.names)

    def answer(self, clip: Clip, question: str) -> str:
        return "a grey room"

    def summarise(self, clip: Clip, query: str) -> str:
        return "nothing happens in a grey room"

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        if self.chosen is not None:
            return self.chosen
        told = " ".join(info.values())
        return next((option for option in options if option in told), None)

    def bundle(self) -> Specialists:
        return Specialists.from_one(self)


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def blank() -> BlankVideo:
    return BlankVideo()
