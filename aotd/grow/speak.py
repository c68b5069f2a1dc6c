"""Stages speak and obey: projector, temporal module and language model learn to tell what the frozen encoder sees.

A step sees some videos, each with a few of its lessons behind it in one token tree. A reply of n tokens counts √n times
as much as a reply of one. In stage obey, half of the lessons are questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aotd.grow import GrowthStage, GrowthStageName
from aotd.grow.encoders import load_encoder
from aotd.grow.lessons import Lesson, lessons_of
from aotd.grow.questions import questions_of
from aotd.grow.scenes import SampledPart, SceneSource, draw_parts, parts_of
from aotd.grow.window import Window
from aotd.students.valley.grown_encoder import GrownEncoder
from aotd.students.valley.student import ValleyStudent
from aotd.video_llms.base import BatchRow, VideoFeatures, collate
from aotd.video_llms.pretrained import as_features

PARTS = 2
"""Of a scene that are drawn."""
SCENES, FIRST, NEW_PER_STEP = 1000, 100, 2
"""As in `aotd.grow.eyes`."""
LESSONS = 7
"""Of a video in one step."""


@dataclass(frozen=True)
class SeenPart:
    """A part of a scene as the frozen encoder sees it, and what can be said of it."""

    whole: NDArray[np.float16]
    places: NDArray[np.float16]
    lessons: tuple[Lesson, ...]
    questions: tuple[Lesson, ...]

    def features(self) -> VideoFeatures:
        """Return them as the student's `encode_video` does for a video of as many frames."""
        count = len(self.whole)
        return as_features(
            places=torch.from_numpy(self.places),
            whole=torch.from_numpy(self.whole),
            numbers=torch.arange(count),
            frames=torch.tensor([count]),
        )


_encoder: GrownEncoder
"""Of a worker process."""


def start_worker(folder: Path) -> None:
    """Give a worker process the encoder that it sees with."""
    global _encoder
    torch.set_num_threads(1)
    _encoder = load_encoder(folder)


def see_scene(source: SceneSource, number: int) -> list[SeenPart]:
    """Draw parts of a scene and encode them, in a worker process; what `Window` calls."""
    rng = Random(f"{source.seed}/grow/{number}/lessons")  # noqa: S311
    seen = []
    parts = parts_of(source, number, PARTS)
    for part, frames in zip(parts, draw_parts(source, parts), strict=True):
        with torch.inference_mode():
            encoded = _encoder.encode_shrunk(frames)
        whole, places = (values.half().numpy() for values in (encoded.whole, encoded.places))
        seen.append(SeenPart(whole, places, tuple(lessons_of(part, rng)), tuple(_questions(part, rng))))
    return seen


def _questions(part: SampledPart, rng: Random) -> list[Lesson]:
    return [lesson for question in questions_of(part, rng) for lesson in question.lessons()]


def lesson_texts(source: SceneSource, scenes: int) -> list[str]:
    """List texts of lessons, for a tokenizer to be trained on."""
    rng = Random(f"{source.seed}/grow/texts")  # noqa: S311
    texts: list[str] = []
    for number in range(scenes):
        (part,) = parts_of(source, number, 1)
        lessons = [*lessons_of(part, rng), *_questions(part, rng)]
        texts += [text for lesson in lessons for text in (lesson.prompt, lesson.reply)]
    return texts


def videos_of_step(
    student: ValleyStudent, window: Window[list[SeenPart]], stage: GrowthStage, seed: int
) -> Callable[[int], dict[str, Tensor]]:
    """Return what gives the loss of a step."""

    def losses(step: int) -> dict[str, Tensor]:
        rng = Random(f"{seed}/{stage.name.value}/{step}")  # noqa: S311
        parts = rng.sample([part for scene in window.at(step) for part in scene], stage.batch)
        asked = LESSONS // 2 if stage.name is GrowthStageName.obey else 0
        told = [(part.features(), _some(part, asked, rng)) for part in parts]
        return {"lessons": lesson_loss(student, told) / stage.batch}

    return losses


def _some(part: SeenPart, asked: int, rng: Random) -> list[Lesson]:
    """Pick lessons of a part, its first two always; so many are questions."""
    questions = rng.sample(part.questions, min(asked, len(part.questions)))
    always, others = part.lessons[:2], part.lessons[2:]
    return [*always, *rng.sample(others, min(LESSONS - 2 - len(questions), len(others))), *questions]


def lesson_loss(student: ValleyStudent, videos: Sequence[tuple[VideoFeatures, Sequence[Lesson]]]) -> Tensor:
    """The loss of videos with lessons, summed over their replies.

    Args:
        videos: all with features, or all without.
    """
    rows, replies = [], []
    for features, lessons in videos:
        pairs = [(student.encode_prompt(lesson.prompt), student.encode_reply(lesson.reply)) for lesson in lessons]
        prefix = student.prefix_of(features)
        rows.append(BatchRow(features, prefix, [[*prompt, *reply[:-1]] for prompt, reply in pairs]))
        replies += pairs
    batch = collate(rows, student.pad_token)
    at, labels, shares = [], [], []
    for (prompt, reply), path in zip(replies, (path for row in batch.paths for path in row), strict=True):
        at += path[len(prompt) - 1 :]
        labels += reply
        shares += [1 / math.sqrt(len(reply))] * len(reply)
    logits = student.model.tree_logits(**batch.inputs, at=torch.tensor(at))
    each = functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
    return (each * torch.tensor(shares)).sum() * _SCALE


_SCALE = 3 / LESSONS
"""Brings a step's loss to about that of a reply's tokens, whatever their number."""
