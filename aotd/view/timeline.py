"""The parts of the video that were looked at and found, beside the annotated ones, as bars over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aotd.records import BoxesFinding, Event, SpanFinding, Trace
from aotd.view.question import Story, frame_words, seconds

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
    rows = [row for event in trace.events if (row := _row(event, trace))][:_MOST]
    if evidence and evidence.spans:
        words = ", ".join(f"{span.start_s:.1f}–{span.end_s:.1f} s" for span in evidence.spans)
        bars = tuple(_bar(span.start_s, span.end_s, trace) for span in evidence.spans)
        rows.insert(0, Row("true", "annotated evidence", words, bars))
    return rows


def _row(event: Event, trace: Trace) -> Row | None:
    finding = event.finding
    if isinstance(finding, SpanFinding):
        if finding.end <= finding.start:
            return Row("found", event.query or event.tool, "not found", ())
        kind = "looked" if event.tool == "trim" else "found"
        start_s, end_s = seconds(trace, finding.start, finding.end)
        words = f"{frame_words(range(finding.start, finding.end))}, {start_s:.1f}–{end_s:.1f} s"
        return Row(kind, event.query or "look on", words, (_bar(start_s, end_s, trace),))
    if isinstance(finding, BoxesFinding):
        numbers = sorted({box.frame for box in finding.boxes})
        words = f"boxed in {frame_words(numbers)}" if numbers else "not found"
        return Row("seen", event.query, words, tuple(_bars(numbers, trace)))
    return None


def _bars(numbers: Iterable[int], trace: Trace) -> list[Bar]:
    """Neighbouring frames as one bar."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1]:
            runs[-1][1] = number + 1
        else:
            runs.append([number, number + 1])
    return [_bar(*seconds(trace, first, end), trace) for first, end in runs]


def _bar(start_s: float, end_s: float, trace: Trace) -> Bar:
    length = trace.end_s - trace.start_s
    left = min(max((start_s - trace.start_s) / length, 0.0), 1.0)
    right = min(max((end_s - trace.start_s) / length, left), 1.0)
    return Bar(round(100 * left, 2), round(100 * (right - left), 2))
