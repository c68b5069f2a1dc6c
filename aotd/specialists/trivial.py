"""Floors to measure specialists against: the whole frame, the whole clip, the first of what is offered.

A specialist that does not beat these has not looked. They find a thing in every frame and an action in
every clip, and take the first candidate and the first option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aotd.records import Detection, SpanFinding
from aotd.video.clip import Clip


class Trivial:
    """A specialist of every sub-task that looks at nothing."""

    model = "trivial-1"

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """On each frame all that the clip shows of it."""
        whole = (0.0, 0.0, float(clip.video.width), float(clip.video.height))
        return [Detection(frame=n, box=clip.crops.get(n, whole), label=query, score=1.0) for n in clip.numbers]

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The whole clip."""
        return SpanFinding(start=clip.numbers[0], end=clip.numbers[-1] + 1, score=1.0) if clip.numbers else None

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """The candidates as they are given."""
        return list(candidates)

    def answer(self, clip: Clip, question: str) -> str:
        """Nothing."""
        return "nothing"

    def summarise(self, clip: Clip, query: str) -> str:
        """Nothing."""
        return "nothing"

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The first option; none without options."""
        return options[0] if options else None
