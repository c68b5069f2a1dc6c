"""Choose the questions, so that nobody can do better than chance without the video.

Questions are asked in groups: the same words, the same options, and each option is the true answer of one
question of the group, each about another scene. Whatever a guesser makes of words and options, it chooses
the same option throughout the group and is right once. Within a group the true answer also stands in every
position once. What finds no group is not asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from aotd.datasets.playroom.questions import OPEN_ENDED, Candidate
from aotd.datasets.playroom.storyboard import FAMILY

OPEN_SHARE = 0.15
"""Share of the groups that are asked without options."""
TURNS = ("Sequence", "Prediction", "Interaction", "Ordering", "Feasibility", "Sequence", "Prediction", "Counting")
"""Whose turn it is to give a group, over and over."""
SPARE_PER_SCENE = 3
"""How many more questions than the average one scene may have."""


@dataclass(frozen=True)
class BalancedQuestion:
    """A question as it is asked."""

    candidate: Candidate
    options: tuple[str, ...]
    """Empty where it is open-ended."""

    @property
    def answer(self) -> str:
        """The answer as it is written down: an option, or short words of one's own."""
        answer = self.candidate.answer
        return answer if self.options else answer.removeprefix("The ").removesuffix(".")


def choose(candidates: Sequence[Candidate], scenes: int, per_scene: float, rng: Random) -> list[BalancedQuestion]:
    """The questions of one split.

    Args:
        candidates: all candidates of the split.
        scenes: how many scenes the split has; each `FAMILY` in a row are a family.
        per_scene: how many questions there should be per scene, on average.
        rng: what chance decides.
    """
    waiting: dict[str, list[tuple[Candidate, ...]]] = {kind: [] for kind in TURNS}
    for group in _groups(candidates, rng):
        waiting[group[0].type.split("_")[0]].append(group)
    for groups in waiting.values():
        rng.shuffle(groups)
    chosen: list[BalancedQuestion] = []
    load: Counter[int] = Counter()
    open_sets: dict[str, list[frozenset[str]]] = defaultdict(list)
    # In turn, so that a kind with few groups is not crowded out by one with many.
    while any(waiting.values()):
        for kind in TURNS:
            if len(chosen) >= scenes * per_scene:
                return chosen
            if not waiting[kind]:
                continue
            group = waiting[kind].pop()
            if max(load[item.scene] for item in group) >= per_scene + SPARE_PER_SCENE:
                continue
            load.update(item.scene for item in group)
            wants_open = group[0].type in OPEN_ENDED and rng.random() < 2 * OPEN_SHARE
            if wants_open and _stays_even(open_sets[group[0].text], frozenset(item.answer for item in group)):
                open_sets[group[0].text].append(frozenset(item.answer for item in group))
                chosen += [BalancedQuestion(item, ()) for item in group]
            else:
                chosen += with_options(group, rng)
    return chosen


def with_options(group: Sequence[Candidate], rng: Random) -> list[BalancedQuestion]:
    """The questions of a group, options in random order, the true one in each position once."""
    answers = [item.answer for item in group]
    questions = []
    for item, place in zip(group, rng.sample(range(len(group)), len(group)), strict=True):
        options = [answer for answer in answers if answer != item.answer]
        rng.shuffle(options)
        options.insert(place, item.answer)
        questions.append(BalancedQuestion(item, tuple(options)))
    return questions


def _stays_even(before: list[frozenset[str]], answers: frozenset[str]) -> bool:
    """Whether all answers to an open-ended question stay equally frequent when these are added."""
    return all(other == answers for other in before) or (
        len(set(before)) == len(before) and not any(other & answers for other in before)
    )


def _groups(candidates: Sequence[Candidate], rng: Random) -> list[tuple[Candidate, ...]]:
    """All groups that can be had, no candidate in two: first within families, then across them."""
    by_text: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for item in candidates:
        by_text[item.type, item.text].append(item)
    groups: list[tuple[Candidate, ...]] = []
    for key in sorted(by_text):
        items = by_text[key]
        size = items[0].arity
        families: dict[int, list[Candidate]] = defaultdict(list)
        for item in items:
            families[item.scene // FAMILY].append(item)
        left = []
        for members in families.values():
            made, rest = _within(members, size, rng)
            groups += made
            left += rest
        groups += _across(left, size, rng)
    return groups


def _within(members: list[Candidate], size: int, rng: Random) -> tuple[list[tuple[Candidate, ...]], list[Candidate]]:
    """Groups of one family, and the candidates that are left."""
    groups: list[tuple[Candidate, ...]] = []
    left = list(members)
    while True:
        by_scene: dict[int, list[Candidate]] = defaultdict(list)
        for item in left:
            by_scene[item.scene].append(item)
        scenes = [rng.sample(items, len(items)) for items in by_scene.values()]
        if len(scenes) < size:
            return groups, left
        if size < len(scenes):
            scenes = rng.sample(scenes, size)
        group = next((combination for combination in product(*scenes) if _fits(combination)), None)
        if group is None:
            return groups, left
        groups.append(group)
        left = [item for item in left if item not in group]


def _across(left: list[Candidate], size: int, rng: Random) -> list[tuple[Candidate, ...]]:
    """Groups of what the families left over: always the answers that are most frequent."""
    groups: list[tuple[Candidate, ...]] = []
    pool: dict[str, list[Candidate]] = defaultdict(list)
    for item in left:
        pool[item.answer].append(item)
    for items in pool.values():
        rng.shuffle(items)
    tries = 0
    while sum(bool(items) for items in pool.values()) >= size and tries < 3:
        answers = sorted((answer for answer in pool if pool[answer]), key=lambda a: (-len(pool[a]), rng.random()))
        group = _complete((), answers, pool, size)
        if group is None:
            tries += 1
            pool[answers[0]].pop()
            continue
        groups.append(group)
        for item in group:
            pool[item.answer].remove(item)
    return groups


def _complete(
    chosen: tuple[Candidate, ...], answers: list[str], pool: dict[str, list[Candidate]], size: int
) -> tuple[Candidate, ...] | None:
    """A group that begins with `chosen`, taking the first candidate that fits for each further answer."""
    for number, answer in enumerate(answers):
        fitting = next((item for item in pool[answer] if _fits((*chosen, item))), None)
        if fitting is not None:
            more = (*chosen, fitting)
            return more if len(more) == size else _complete(more, answers[number + 1 :], pool, size)
    return None


def _fits(group: tuple[Candidate, ...]) -> bool:
    """Whether these can be asked with each other's answers as distractors."""
    return len({item.scene for item in group}) == len(group) and not any(
        other.answer in item.true for item in group for other in group if other is not item
    )
