"""What tools found, in words for a prompt.

1. looked for person opening the box: from frame 3 to frame 6
2. found book: at [60, 52, 71, 64] in frame 10
"""

from __future__ import annotations

from collections.abc import Sequence

from aotd.prompts import one_line
from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    CountFinding,
    Detection,
    Event,
    FlagFinding,
    SpanFinding,
    TextFinding,
)

LONGEST = 2_000
"""Characters of one text in a line; a summary of a clip has some hundreds."""


def numbered(events: Sequence[Event], boxes: int) -> str:
    """What tools found, one numbered line per step; `boxes` of one finding at most, spread over its frames.

    `select_answer` is left out: what it was told has been found by the steps before it.
    """
    told = [f"{_asked(event)}: {_found(event, boxes)}" for event in events if event.tool != "select_answer"]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(told, start=1)) or "nothing was looked at"


def _asked(event: Event) -> str:
    query = _words(event.query)
    if event.tool == "trim":
        return "then looked only"
    if event.tool == "Filter_frames_with_act":
        return f"looked for {query}"
    if isinstance(event.finding, BoxesFinding):
        return f"found {query}"
    if isinstance(event.finding, CountFinding):
        return f"count of {query}"
    if isinstance(event.finding, FlagFinding):
        return f"is there {query}"
    if isinstance(event.finding, ActionsFinding):
        return f"actions with {query}" if query else "actions"
    if event.tool == "Compare":
        return "which of the two starts earlier"
    return "in short" if event.tool == "Video_summary" else f'asked "{query}"'


def _found(event: Event, boxes: int) -> str:
    finding = event.finding
    if isinstance(finding, SpanFinding):
        if finding.end <= finding.start:
            return "not found"
        return f"from frame {finding.start} to frame {finding.end - 1}"
    if isinstance(finding, BoxesFinding):
        return "; ".join(_place(found) for found in _spread(finding.boxes, boxes)) or "nothing"
    if isinstance(finding, ActionsFinding):
        return ", ".join(_words(action) for action in finding.actions) or "none"
    if isinstance(finding, CountFinding):
        return str(finding.count)
    if isinstance(finding, FlagFinding):
        return "yes" if finding.flag else "no"
    assert isinstance(finding, TextFinding)
    return _words(finding.text)


def _words(text: str) -> str:
    """Text that a program or a specialist chose, as far as a prompt has room for it."""
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _place(found: Detection) -> str:
    corners = ", ".join(str(round(value)) for value in found.box)
    return f"at [{corners}] in frame {found.frame}"


def _spread(found: tuple[Detection, ...], count: int) -> list[Detection]:
    """At most `count` of them, the first and the last among them."""
    if len(found) <= max(count, 1):
        return list(found)
    if count <= 1:
        return [max(found, key=lambda detection: detection.score)]
    return [found[round(i * (len(found) - 1) / (count - 1))] for i in range(count)]
