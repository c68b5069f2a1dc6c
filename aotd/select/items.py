"""The items that candidates of each sub-task are asked, with the ground truth of all earlier steps (paper §3.2).

One item per question and sub-task: the detector gets the frame, the grounder the action's words, the
recogniser the true moment, the answerer the true moment and a question that needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from aotd.datasets.star import StarSituation
from aotd.records import EvidenceBox, Question
from aotd.select.acts import TrueAction, acts

_ONE_HOP = "Interaction"
"""Types of questions whose answer is seen in the moment they ask about."""


class Item(Protocol):
    """One question to the candidates of a sub-task."""

    @property
    def question(self) -> Question: ...


@dataclass(frozen=True)
class DetectionItem:
    """Detection: find a thing on the frame nearest to a key frame."""

    question: Question
    time_s: float
    label: str
    boxes: tuple[EvidenceBox, ...]


@dataclass(frozen=True)
class GroundingItem:
    """Temporal grounding: find when an action happens."""

    question: Question
    query: str
    spans: tuple[tuple[float, float], ...]
    """When it does, in seconds of the video file."""


@dataclass(frozen=True)
class ActionItem:
    """Action recognition: name what is done in a span."""

    question: Question
    span: tuple[float, float]
    true: str
    candidates: tuple[str, ...]
    """Every action of the benchmark, in the -ing form."""


@dataclass(frozen=True)
class AnsweringItem:
    """Question answering: answer a question from the true moment."""

    question: Question
    spans: tuple[tuple[float, float], ...]


Truth = Mapping[str, Sequence[StarSituation]]
"""Question id -> its marked key frames."""


def detection_items(questions: Sequence[Question], truth: Truth, rng: Random) -> list[DetectionItem]:
    """Draw for each question a key frame and a thing (no person) that is marked on it."""
    found = []
    for question in questions:
        marked = [one for one in truth.get(question.question_id, ()) if _inside(question, one.time_s)]
        seen = [(one, label) for one in marked for label in sorted({box.label for box in one.boxes} - {"person"})]
        if seen:
            one, label = rng.choice(seen)
            found.append(
                DetectionItem(question, one.time_s, label, tuple(box for box in one.boxes if box.label == label))
            )
    return found


def grounding_items(questions: Sequence[Question], truth: Truth, rng: Random) -> list[GroundingItem]:
    """Draw for each question one of the actions in its part of the video; all spans of that action count as true."""
    found = []
    for question in questions:
        done = _acts(question, truth)
        if done:
            name = rng.choice(sorted({act.name for act in done}))
            same = [act for act in done if act.name == name]
            found.append(GroundingItem(question, same[0].query, tuple((act.start_s, act.end_s) for act in same)))
    return found


def action_items(questions: Sequence[Question], truth: Truth, rng: Random) -> list[ActionItem]:
    """Draw for each question one of the actions in its part that no other action overlaps."""
    known = sorted({act.doing for question in questions for act in _acts(question, truth)})
    found = []
    for question in questions:
        done = _acts(question, truth)
        alone = [
            act
            for act in done
            if all(b is act or b.end_s <= act.start_s or act.end_s <= b.start_s or b.name == act.name for b in done)
        ]
        if alone:
            act = rng.choice(alone)
            found.append(ActionItem(question, (act.start_s, act.end_s), act.doing, tuple(known)))
    return found


def answering_items(questions: Sequence[Question], truth: Truth, rng: Random) -> list[AnsweringItem]:
    """Take the questions of one hop that have options and a true span."""
    found = []
    for question in questions:
        spans = question.evidence.spans if question.evidence else ()
        if question.type.startswith(_ONE_HOP) and question.options and question.answer and spans:
            found.append(AnsweringItem(question, tuple((span.start_s, span.end_s) for span in spans)))
    return found


def _acts(question: Question, truth: Truth) -> list[TrueAction]:
    assert question.start_s is not None
    assert question.end_s is not None
    return acts(truth.get(question.question_id, ()), question.start_s, question.end_s)


def _inside(question: Question, time_s: float) -> bool:
    return (question.start_s or 0.0) <= time_s < (question.end_s or float("inf"))
