"""The first questions of a stage: where all of them are lost to one cause, it is not theirs, and the verb stops.

A context that is too short, a filter that takes offence at our prompt, a reply that is always cut off, a specialist
that crashes: each of these ends every question of a run, one by one, in an outcome of its own. Nobody wants to find
that out when all are asked. What the questions' answers are worth (`wrong_answer`, `unfaithful`, …) is no such cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from aotd.records import Outcome

FIRST = 20
"""So many questions."""
LOST = {
    one.value
    for one in (
        Outcome.model_refused,
        Outcome.nothing_said,
        Outcome.program_invalid,
        Outcome.instruction_form,
        Outcome.thought_cut,
        Outcome.tool_failed,
    )
}
"""Outcomes that a model, its server or the environment may bring about for every question."""


class FirstLosses:
    """Watches the first lines of a stage."""

    def __init__(self, first: int, lines: Iterable[bytes]) -> None:
        """Args:
        first: how many questions are watched; 0 for none.
        lines: those that the stage has.
        """
        self._first, self._count, self._cause = first, 0, ""
        for line in lines:
            if self.add(line) is not None:
                self._first = 0  # somebody has gone on from there
            if not self._first:
                break

    def add(self, line: bytes) -> str | None:
        """Look at the next line. Returns why the first questions were lost, once all of them are to one cause."""
        if not self._first:
            return None
        lost = _lost(line)
        cause = lost and re.sub(r"\S*\d\S*", "#", lost)  # numbers, and names of requests, differ between questions
        if not lost or (self._count and cause != self._cause):
            self._first = 0
            return None
        self._cause, self._count = cause or "", self._count + 1
        return lost if self._count == self._first else None


def _lost(line: bytes) -> str | None:
    """The outcome and the reason of a question that was lost; None of any other, and of a line that is damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    outcome = record.get("outcome")
    if isinstance(outcome, str) and outcome in LOST:
        return f"{outcome}: {record.get('reason') or _unjudged(record)}"
    if record.keys() == {"question_id", "text", "tries"}:  # a judgement that is none
        return f"the judge's reply cannot be read: {str(record['text'])[:300]}"
    return None


def _unjudged(verdict: dict[str, Any]) -> str:
    """Why a verdict is none: the reason of its first check that did not pass."""
    checks = [verdict.get(name) for name in ("answer", "faithful", "coherent")]
    failed = (check for check in checks if isinstance(check, dict) and not check.get("passed"))
    return str(next(failed, {}).get("reason", ""))
