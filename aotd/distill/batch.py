"""Examples as batches: the questions of a video in one tree behind one copy of it.

    video | question 1 | answer suffix, answer, <end>
                       | rationale suffix, rationale, <end>
          | question 2 | ...

Every reply has the same logits as in a sequence of its own (`aotd.video_llms.tree`, design §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from aotd.prompts.student import suffix
from aotd.records import Example, Mode
from aotd.video_llms.base import BatchRow, VideoFeatures, VideoLLM, collate
from aotd.video_llms.tree import build_tree

ANSWER, RATIONALE = 0, 1
"""Kinds of reply."""


@dataclass(frozen=True)
class Laid:
    """One example in a student's tokens."""

    asked: tuple[list[int], ...]
    said: tuple[list[int], ...]
    """The replies, the end token last; the answer's first, then the rationale's if there is one."""

    @property
    def texts(self) -> list[list[int]]:
        """What the model reads. The end token is a target only: nothing is read after it."""
        return [[*asked, *said[:-1]] for asked, said in zip(self.asked, self.said, strict=True)]

    @cached_property
    def size(self) -> int:
        """Places it takes behind a video."""
        return len(build_tree(self.texts))


def lay_out(student: VideoLLM, example: Example, choice: bool) -> Laid:
    """Lay out one example; without a rationale it has one reply."""
    replies = [(Mode.answer, example.answer), (Mode.rationale, example.rationale)]
    kept = [(mode, reply) for mode, reply in replies if reply is not None]
    return Laid(
        tuple(student.encode_prompt(example.prompt + suffix(choice, mode)) for mode, _ in kept),
        tuple(student.encode_reply(reply) for _, reply in kept),
    )


def batch_of(
    student: VideoLLM, groups: Sequence[tuple[VideoFeatures, Sequence[Laid]]], questions: int, shared: bool = True
) -> dict[str, Any]:
    """A batch of trees: the model's arguments, and what the loss is taken of.

    Args:
        groups: a video and its examples, each one tree.
        questions: how many questions the mean is taken over (those of the whole step).
        shared: False puts each reply into a sequence of its own, which changes nothing but the cost.

    Returns:
        `input_ids`, `end` `[B, S]`, `positions` `[axes, B, S]`, `videos`; and of the `M` targets `at` (their place
        in `[B * S]`), `labels`, `kinds`, and `shares`: a target's part in the mean over its reply and the questions.
    """
    rows, replies = [], []
    for view, examples in groups:
        opening = student.video_prefix(view)
        texts = [text for one in examples for text in one.texts]
        rows += [BatchRow(view, opening, texts)] if shared else [BatchRow(view, opening, [text]) for text in texts]
        replies += [
            (kind, asked, said)
            for one in examples
            for kind, asked, said in zip((ANSWER, RATIONALE), one.asked, one.said, strict=False)
        ]
    batch = collate(rows, student.pad_token)
    paths = [path for row in batch.paths for path in row]
    at, labels, kinds, shares = [], [], [], []
    for (kind, asked, said), path in zip(replies, paths, strict=True):
        at += path[len(asked) - 1 :]
        labels += said
        kinds += [kind] * len(said)
        shares += [1 / (len(said) * questions)] * len(said)
    return {
        **batch.inputs,
        "at": torch.from_numpy(np.array(at)),
        "labels": torch.from_numpy(np.array(labels)),
        "kinds": torch.from_numpy(np.array(kinds)),
        "shares": torch.from_numpy(np.array(shares)),
    }
