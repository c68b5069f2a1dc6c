"""Parts that an annotation lets go past the end of their video: they are shown up to it, and told of once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from aotd.agents.base import T
from aotd.store.stage import StageEntry

_ROUNDING_S = 0.1
"""Annotated times are rounded; so little is not told of."""
_NAMED = 3
"""How many questions are named."""


class PastTheEnd:
    """Counts the parts whose annotated end lies behind the end of their video."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        self._found: list[str] = []

    def noting(self, tasks: Iterable[T]) -> Iterator[T]:
        """The tasks, with their questions' ends noted as they go by."""
        for task in tasks:
            if task.question.end_s is not None:
                self._ends[task.question.question_id] = task.question.end_s
            yield task

    def compare(self, entry: StageEntry) -> None:
        """Look at which part a trace shows."""
        end_s = self._ends.pop(entry.question_id, None)
        if end_s is None or entry.dropped:
            return
        shown_s = json.loads(entry.line)["end_s"]
        if end_s > shown_s + _ROUNDING_S:
            self._found.append(f"{entry.question_id}: {end_s:g} s, the video has {shown_s:.2f} s")

    def told(self) -> str:
        """One line about those that were found; empty where there are none."""
        if not self._found:
            return ""
        named, count = "; ".join(self._found[:_NAMED]), len(self._found)
        more = f"; and {count - _NAMED} more" if count > _NAMED else ""
        return f"parts that end after their video, and are shown up to its end: {count} ({named}{more})"
