"""Examples as batches: one sequence per question, its two replies as branches behind one prompt.

    prompt | answer suffix, answer, <end> | rationale suffix, rationale, <end>

The branches cannot see each other and both start at the position behind the prompt, so that each reply
has the same logits as if it stood in a sequence of its own, and the prompt is read once (design §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from aotd.records import Example, Mode
from aotd.students.frames import StudentFrames
from aotd.students.prompts import suffix
from aotd.students.tokens import encode
from aotd.students.valley import PADDING, SHARED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ANSWER, RATIONALE = 1, 2


@dataclass(frozen=True)
class Laid:
    """One question's tokens."""

    tokens: list[int]
    branch: list[int]
    positions: list[int]
    """Counted from the first token of the prompt."""
    targets: dict[int, tuple[list[int], list[int]]]
    """Branch -> the places whose successors are the reply, and the reply's tokens."""


def lay_out(tokenizer: PreTrainedTokenizerFast, example: Example, choice: bool) -> Laid:
    """Lay out one example; without a rationale it has no second branch."""
    tokens = encode(tokenizer, example.prompt)
    branch, positions = [SHARED] * len(tokens), list(range(len(tokens)))
    start, targets = len(tokens), {}
    replies = ((ANSWER, Mode.answer, example.answer), (RATIONALE, Mode.rationale, example.rationale))
    for number, mode, reply in replies:
        if reply is None:
            continue
        asked = encode(tokenizer, suffix(choice, mode))
        said = [*encode(tokenizer, reply), tokenizer.eos_token_id]
        first = len(tokens) + len(asked) - 1
        targets[number] = list(range(first, first + len(said))), said
        # The end token is a target only: nothing is read after it.
        tokens += asked + said[:-1]
        branch += [number] * (len(asked) + len(said) - 1)
        positions += range(start, start + len(asked) + len(said) - 1)
    return Laid(tokens, branch, positions, targets)


def collate(rows: Sequence[tuple[Laid, StudentFrames]], pad: int) -> dict[str, Any]:
    """A batch: the model's arguments, and `labels`, `branch_of`, `row_of`, `[M]` each, of the `M` targets."""
    width = max(len(row.tokens) for row, _ in rows)

    def padded(values: list[int], filler: int) -> list[int]:
        return values + [filler] * (width - len(values))

    at, labels, branch_of, row_of = [], [], [], []
    for number, (row, _) in enumerate(rows):
        for branch, (places, said) in row.targets.items():
            at += [number * width + place for place in places]
            labels += said
            branch_of += [branch] * len(said)
            row_of += [number] * len(said)
    return {
        "pixels": torch.stack([torch.from_numpy(frames.pixels) for _, frames in rows]),
        "numbers": torch.stack([torch.from_numpy(frames.numbers) for _, frames in rows]),
        "input_ids": torch.tensor([padded(row.tokens, pad) for row, _ in rows]),
        "branch": torch.tensor([padded(row.branch, PADDING) for row, _ in rows]),
        "positions": torch.tensor([padded(row.positions, 0) for row, _ in rows]),
        "at": torch.tensor(at),
        "labels": torch.tensor(labels),
        "branch_of": torch.tensor(branch_of),
        "row_of": torch.tensor(row_of),
    }
