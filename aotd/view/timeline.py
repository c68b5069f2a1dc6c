"""The parts of the video that were looked at and found, beside the annotated ones, as bars over time."""

from __future__ import annotations

from dataclasses import dataclass

from aotd.records import Trace
from aotd.view.finding_text import Track, seconds, track
from aotd.view.question import Story

_MOST = 10
"""Rows of findings; a program may look far more often than anyone reads."""


@dataclass(frozen=True)
class Bar:
    """A stretch of the question's part of the video, in percent of its length."""

    left: float
    width: float


@dataclass(frozen=True)
class Row:
    """One finding over time."""

    kind: str
    """`true` (annotated), `found` (grounded), `looked` (trimmed to) or `seen` (boxes)."""
    name: str
    words: str
    """The same in words."""
    bars: tuple[Bar, ...]


def timeline(story: Story) -> list[Row]:
    """Rows of bars: what is annotated first, then what the trace holds, in its order; empty without a trace."""
    trace, evidence = story.trace, story.question.evidence
    if trace is None or trace.end_s <= trace.start_s:
        return []
    tracks = (track(event, trace) for event in trace.events)
    rows = [_row(found, trace) for found in tracks if found][:_MOST]
    if evidence and evidence.spans:
        words = ", ".join(f"{span.start_s:.1f}–{span.end_s:.1f} s" for span in evidence.spans)
        bars = tuple(_bar(span.start_s, span.end_s, trace) for span in evidence.spans)
        rows.insert(0, Row("true", "annotated evidence", words, bars))
    return rows


def _row(found: Track, trace: Trace) -> Row:
    bars = tuple(_bar(*seconds(trace, start, end), trace) for start, end in found.spans)
    return Row(found.kind, found.name, found.words, bars)


def _bar(start_s: float, end_s: float, trace: Trace) -> Bar:
    length = trace.end_s - trace.start_s
    left = min(max((start_s - trace.start_s) / length, 0.0), 1.0)
    right = min(max((end_s - trace.start_s) / length, left), 1.0)
    return Bar(round(100 * left, 2), round(100 * (right - left), 2))
