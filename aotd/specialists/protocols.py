"""The protocols of the specialists, one per sub-task (paper §3.2, Table 1), and the set of them.

A specialist sees a clip (pixels, or stored captions), never an annotation. It reports that it found nothing by an empty
list or None. An exception means that it failed, and ends the question as `tool_failed`. The table of sub-tasks
(`aotd.specialists.subtasks`) holds the same methods as data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from aotd.records import Detection, Question, SpanFinding
from aotd.specialists.subtasks import SUBTASKS
from aotd.video.clip import Clip, Video


class Detector(Protocol):
    """Object detection."""

    model: str
    """Name and revision, for manifests."""

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """Boxes of things that `query` names, on any frame of the clip, in pixels of the original frame."""
        ...


class Grounder(Protocol):
    """Temporal grounding."""

    model: str

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The span of the clip in which what `query` says happens; None where it does not."""
        ...


class Recogniser(Protocol):
    """Action recognition."""

    model: str

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """Actions in the clip (those with `obj`, where one is named), in order of likelihood.

        With `candidates`, the answer is made of those and nothing else.
        """
        ...


class Answerer(Protocol):
    """Question answering, summary, and the choice among options."""

    model: str

    def answer(self, clip: Clip, question: str) -> str:
        """A short free-form answer from the clip."""
        ...

    def summarise(self, clip: Clip, query: str) -> str:
        """A sentence or two on the clip, with `query` in mind."""
        ...

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The option that `info` supports best; None where it supports none. Without options, a short answer."""
        ...


class Source(Protocol):
    """Where a question's video comes from: decoded frames, or stored text."""

    model: str

    def open(self, question: Question) -> Video:
        """The video of a question.

        Raises:
            QuestionError: `video_unreadable`.
        """
        ...


class Specialists:
    """A source of videos, and one specialist per sub-task as the attribute of its name."""

    source: Source
    detection: Detector
    grounding: Grounder
    action: Recogniser
    answering: Answerer

    def __init__(self, source: Source, **specialists: Any) -> None:
        """Args:
        specialists: sub-task -> specialist.
        """
        self.source = source
        self._subtasks = tuple(specialists)
        vars(self).update(specialists)

    @classmethod
    def from_one(cls, specialist: Any) -> Self:
        """Use one object as the source and as the specialist of every sub-task."""
        return cls(specialist, **dict.fromkeys(SUBTASKS, specialist))

    def models(self) -> dict[str, str]:
        """Return sub-task -> model, for manifests."""
        return {name: getattr(self, name).model for name in ("source", *self._subtasks)}
