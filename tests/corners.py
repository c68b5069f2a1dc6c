"""A run with sixteen questions about eight tiny videos, one of them damaged: which side is bright."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from aotd.config.tree import Config
from aotd.distill import ArmConfig, DistillConfig
from aotd.errors import QuestionError
from aotd.records import Check, Outcome, Question, Thought, Verdict
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.specialists.load import SOURCES
from aotd.store.stage import Stage
from aotd.students import StudentConfig, ValleySettings
from aotd.video.clip import Pixels, Video
from tests.conftest import BlankVideo

CORNERS = ("left", "right")


class Corner(BlankVideo):
    """Eight frames, bright on the left or on the right."""

    def pixels(self) -> Pixels:
        frames = np.zeros((self.frames, self.height, self.width, 3), dtype=np.uint8)
        half = self.width // 2
        frames[:, :, :half] = 255 * (int(self.video_id) % 2 == 0)
        frames[:, :, half:] = 255 * (int(self.video_id) % 2 == 1)
        return frames


class Corners:
    """The source of those videos; number 7 cannot be read."""

    model = "corners"

    def __init__(self, config: SpecialistsConfig, root: str) -> None:
        self.opened: list[str] = []

    def open(self, question: Question) -> Video:
        if question.video_id == "7":
            raise QuestionError(Outcome.video_unreadable, "7 is damaged")
        return Corner(video_id=question.video_id)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def corners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, SourceName.video, Corners)


def corner_config(run: Path) -> Config:
    return Config(
        run=str(run),
        specialists=SpecialistsConfig(frames=8),
        student=StudentConfig(
            frames=2,
            valley=ValleySettings(image=16, channels=16, patches=1, hidden=32, layers=1, heads=2, vocabulary=400),
        ),
        distill=DistillConfig(
            arms={
                "instruct": ArmConfig(rationales=False, require=[]),
                "aotd": ArmConfig(),
                "aotd_unfiltered": ArmConfig(require=["answer"]),
            },
            epochs=2,
            workers=1,
            questions_per_step=4,
        ),
    )


def write_run(run: Path) -> None:
    passed, failed = Check(passed=True, reason="so"), Check(passed=False, reason="not so")
    keys = [f"{video}{kind}" for video in range(8) for kind in "ab"]
    with Stage(run, "load", Question).open({}) as out:
        for key in keys:
            video = int(key[0])
            side = CORNERS[video % 2]
            out.write(
                Question(
                    question_id=key, dataset="d", split="train", video_id=str(video), video=f"{video}.mp4",
                    question="Which side is bright?", type="T", answer=side,
                    options=CORNERS if key[1] == "a" else (),
                )
            )  # fmt: skip
    with Stage(run, "convert", Thought).open({}) as out:
        for key in keys:
            side = CORNERS[int(key[0]) % 2]
            text = f"I see light from frame 0 to frame 7. So the answer is {side}."
            out.write(Thought(question_id=key, text=text, answer=side, writer="template"))
    with Stage(run, "verify", Verdict).open({}) as out:
        for key in keys:
            coherent = failed if key[0] in "01" else passed
            outcome = Outcome.kept if coherent.passed else Outcome.incoherent
            out.write(Verdict(question_id=key, outcome=outcome, answer=passed, faithful=passed, coherent=coherent))


@pytest.fixture
def run(tmp_path: Path, corners: None) -> Path:
    write_run(tmp_path)
    return tmp_path
