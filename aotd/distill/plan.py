"""What is trained on when: which examples share a video's tokens, a batch, and a step.

A step always has `questions_per_step` questions, however they are laid out. Those of one video that fall into it stand
in one tree (at most `questions_per_video` of them). Trees are packed into batches of `max_tokens_per_batch` places,
padding counted; each process works through as many batches as the fullest step needs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random

Group = tuple[int, ...]
"""Numbers of the examples that share one tree."""


@dataclass(frozen=True)
class SequenceSizes:
    """How many places things take."""

    prefixes: Sequence[int]
    """Of each example's video."""
    texts: Sequence[int]
    """Of each example behind it."""

    def of(self, group: Group) -> int:
        """Places of a tree, what its questions share behind the video counted for each."""
        return self.prefixes[group[0]] + sum(self.texts[example] for example in group)


@dataclass(frozen=True)
class PlannedBatch:
    """One batch of one process."""

    groups: tuple[Group, ...]
    questions: int
    """How many questions the whole step has."""
    counts: bool = True
    """False: a process with nothing left to do in this step goes through the motions with the others."""


@dataclass(frozen=True)
class BatchPlan:
    """All batches of a training, in the order in which they are dealt out to the processes in turn."""

    batches: list[PlannedBatch]
    per_step: int
    """Batches of each process in a step (`gradient_accumulation_steps`)."""
    steps: int


def make_plan(
    videos: Sequence[Hashable],
    sizes: SequenceSizes,
    *,
    batch: int,
    group: int,
    tokens: int,
    epochs: float,
    processes: int,
    seed: int,
) -> BatchPlan:
    """Plan a training. The questions of a step do not depend on `processes`.

    Args:
        videos: what each example sees; equal ones can share a tree.
        sizes: none larger than `tokens` by itself.
        batch: questions of a step. The last step of an epoch may have fewer.
        epochs: may be a fraction; steps are cut off at the end.
    """
    assert all(prefix + text <= tokens for prefix, text in zip(sizes.prefixes, sizes.texts, strict=True))
    per_epoch = math.ceil(len(videos) / batch)
    steps: list[list[Group]] = []
    for epoch in range(math.ceil(epochs)):
        rng = Random(f"{seed}/{epoch}")  # noqa: S311
        steps += _steps(_groups(videos, sizes, group, tokens, rng), batch)
    steps = steps[: math.ceil(epochs * per_epoch)]
    packed = [_pack(step, sizes, tokens) for step in steps]
    per_step = math.ceil(max(map(len, packed)) / processes)
    batches = []
    for step, bins in zip(steps, packed, strict=True):
        questions = sum(map(len, step))
        filled = _spread(bins, per_step * processes, sizes)
        batches += [PlannedBatch(tuple(one), questions) for one in filled]
        smallest = min(step, key=sizes.of)
        batches += [PlannedBatch((smallest,), questions, counts=False)] * (per_step * processes - len(filled))
    return BatchPlan(batches, per_step, len(steps))


def shorten(plan: BatchPlan, sizes: SequenceSizes, *, max_steps: int, max_tokens: int) -> BatchPlan:
    """Keep the first steps of a plan, as many as a budget allows, and at least one.

    Which steps are kept does not depend on the number of processes.

    Args:
        max_steps: 0: no bound.
        max_tokens: of all steps together, padding not counted; 0: no bound.
    """
    in_step = len(plan.batches) // plan.steps
    steps = min(plan.steps, max_steps or plan.steps)
    if max_tokens:
        used = 0
        for step in range(steps):
            batches = plan.batches[step * in_step : (step + 1) * in_step]
            used += sum(sizes.of(group) for batch in batches if batch.counts for group in batch.groups)
            if used > max_tokens:
                steps = max(step, 1)
                break
    return BatchPlan(plan.batches[: steps * in_step], plan.per_step, steps)


def _groups(videos: Sequence[Hashable], sizes: SequenceSizes, group: int, tokens: int, rng: Random) -> list[Group]:
    """All examples, those of a video in groups, in random order."""
    members: dict[Hashable, list[int]] = {}
    for example, video in enumerate(videos):
        members.setdefault(video, []).append(example)
    groups = []
    for examples in members.values():
        rng.shuffle(examples)
        current: Group = ()
        for example in examples:
            if current and (len(current) == group or sizes.of((*current, example)) > tokens):
                groups.append(current)
                current = ()
            current = (*current, example)
        groups.append(current)
    rng.shuffle(groups)
    return groups


def _steps(groups: Sequence[Group], batch: int) -> list[list[Group]]:
    """Groups in steps of `batch` examples; a group that stands across a step's end is divided."""
    steps: list[list[Group]] = [[]]
    free = batch
    for group in groups:
        left = group
        while left:
            if not free:
                steps.append([])
                free = batch
            taken, left = left[:free], left[free:]
            steps[-1].append(taken)
            free -= len(taken)
    return steps


def _pack(step: Sequence[Group], sizes: SequenceSizes, tokens: int) -> list[list[Group]]:
    """A step's trees in batches, the largest first, so that little is padded."""
    bins: list[list[Group]] = []
    for group in sorted(step, key=sizes.of, reverse=True):
        # Sorted so, the first tree of a batch is its widest.
        room = (one for one in bins if (len(one) + 1) * sizes.of(one[0]) <= tokens)
        first = next(room, None)
        if first is None:
            bins.append([group])
        else:
            first.append(group)
    return bins


def _spread(bins: Sequence[list[Group]], wanted: int, sizes: SequenceSizes) -> list[list[Group]]:
    """The same trees in more batches, up to `wanted`, by halving the costliest."""
    spread = list(bins)
    while len(spread) < wanted:
        costliest = max(spread, key=lambda one: (len(one) > 1, len(one) * sizes.of(one[0])))
        if len(costliest) == 1:
            break
        spread.remove(costliest)
        half = len(costliest) // 2
        spread += [costliest[:half], costliest[half:]]
    return spread
