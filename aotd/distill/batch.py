"""Examples as batches: the questions of a video in one tree behind one copy of it.

    video | question 1 | answer suffix, answer, <end>
                       | rationale suffix, rationale, <end>
          | question 2 | ...

Every reply has the same logits as in a sequence of its own (`aotd.video_llms.tree`).
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
class TokenizedExample:
    """One example in a student's tokens."""

    prompts: tuple[list[int], ...]
    replies: tuple[list[int], ...]
    """As many, the end token last; the answer's first, then the rationale's if there is one."""

    @property
    def texts(self) -> list[list[int]]:
        """What the model reads. The end token is a target only: nothing is read after it."""
        return [[*prompt, *reply[:-1]] for prompt, reply in zip(self.prompts, self.replies, strict=True)]

    @cached_property
    def size(self) -> int:
        """Places it takes behind a video."""
        return len(build_tree(self.texts))


def tokenize_example(student: VideoLLM, example: Example, letter: bool, answer_suffix: bool = True) -> TokenizedExample:
    """Tokenize one example; without a rationale it has one reply.

    Args:
        letter: whether its answer is an option's letter.
        answer_suffix: False: the answer follows the question itself, with no word on how long it shall be.
    """
    replies = [(Mode.answer, example.answer), (Mode.rationale, example.rationale)]
    given = [(mode, reply) for mode, reply in replies if reply is not None]
    return TokenizedExample(
        tuple(
            student.encode_prompt(
                example.prompt + (suffix(letter, mode) if answer_suffix or mode is not Mode.answer else "\n")
            )
            for mode, _ in given
        ),
        tuple(student.encode_reply(reply) for _, reply in given),
    )


def make_batch(
    student: VideoLLM,
    groups: Sequence[tuple[VideoFeatures, Sequence[TokenizedExample]]],
    questions: int,
    shared: bool = True,
) -> dict[str, Any]:
    """Make a batch of trees: the model's arguments, and what the loss is computed from.

    Args:
        groups: a video and its examples, each one tree; all with features, or all without.
        questions: how many questions the mean is taken over (those of the whole step).
        shared: False puts each reply into a sequence of its own, which changes nothing but the cost.

    Returns:
        `input_ids`, `end` `[B, S]`, `positions` `[axes, B, S]`, `videos`; and of the `M` targets `at` (their place
        in `[B * S]`), `labels`, `kinds`, and `shares`: a target's part in the mean over its reply and the questions.
    """
    rows, replies = [], []
    for features, examples in groups:
        prefix = student.prefix_of(features)
        texts = [text for example in examples for text in example.texts]
        trees = [texts] if shared else [[text] for text in texts]
        rows += [BatchRow(features, prefix, tree) for tree in trees]
        replies += [
            (kind, prompt, reply)
            for example in examples
            for kind, prompt, reply in zip((ANSWER, RATIONALE), example.prompts, example.replies, strict=False)
        ]
    batch = collate(rows, student.pad_token)
    paths = [path for row in batch.paths for path in row]
    at, labels, kinds, shares = [], [], [], []
    for (kind, prompt, reply), path in zip(replies, paths, strict=True):
        at += path[len(prompt) - 1 :]
        labels += reply
        kinds += [kind] * len(reply)
        shares += [1 / (len(reply) * questions)] * len(reply)
    return {
        **batch.inputs,
        "at": torch.from_numpy(np.array(at)),
        "labels": torch.from_numpy(np.array(labels)),
        "kinds": torch.from_numpy(np.array(kinds)),
        "shares": torch.from_numpy(np.array(shares)),
    }
