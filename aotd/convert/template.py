"""Writer `template`: a trace as plain sentences, one per tool call, and nothing that is not in the trace.

    I look for person opening the door: it happens from frame 3 to frame 8. From frame 9 to frame 31 I look
    on. I see person at [40, 31, 66, 118] in frame 12, [44, 30, 70, 118] in frame 20. The actions with the
    book: took the book. So the answer is Took the book.

Deterministic: the same trace gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable

from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    CountFinding,
    Detection,
    Event,
    FlagFinding,
    SpanFinding,
    TextFinding,
    Trace,
)


def write(trace: Trace, boxes: int) -> str:
    """The trace as a chain of thought.

    Args:
        boxes: how many boxes of one finding are written, spread evenly over its frames.
    """
    sentences = [sentence for event in trace.events if (sentence := _sentence(event, boxes))]
    return " ".join([*sentences, f"So the answer is {_bare(trace.answer)}."])


def _sentence(event: Event, boxes: int) -> str:
    finding = event.finding
    if isinstance(finding, SpanFinding):
        return _trimmed(finding) if event.tool == "trim" else _grounded(_bare(event.query), finding)
    if isinstance(finding, BoxesFinding):
        return _seen(event.query, finding, boxes)
    if isinstance(finding, ActionsFinding):
        what = f"The actions with {_the(event.query)}" if event.query else "The actions"
        return f"{what}: {', '.join(map(_bare, finding.actions)) or 'none is seen'}."
    if isinstance(finding, CountFinding):
        return f"Count of {event.query}: {finding.count}."
    if isinstance(finding, FlagFinding):
        return f"Is there {event.query}: {'yes' if finding.flag else 'no'}."
    assert isinstance(finding, TextFinding)
    return _TOLD[event.tool](event, finding.text)


def _grounded(query: str, span: SpanFinding) -> str:
    if span.end <= span.start:
        return f"I look for {query}: it is not seen."
    return f"I look for {query}: it happens {_frames(span)}."


def _trimmed(span: SpanFinding) -> str:
    return f"I look on {_frames(span)}." if span.end > span.start else "No frame is left to look at."


def _frames(span: SpanFinding) -> str:
    return f"from frame {span.start} to frame {span.end - 1}"


def _seen(query: str, finding: BoxesFinding, boxes: int) -> str:
    if not finding.boxes:
        return f"I do not see {query}."
    places = ", ".join(f"{_box(found)} in frame {found.frame}" for found in _spread(finding.boxes, boxes))
    return f"I see {query} at {places}."


def _spread(found: tuple[Detection, ...], count: int) -> list[Detection]:
    """At most `count` detections, the first and the last among them."""
    if len(found) <= count:
        return list(found)
    if count == 1:
        return [max(found, key=lambda detection: detection.score)]
    return [found[round(i * (len(found) - 1) / (count - 1))] for i in range(count)]


def _box(found: Detection) -> str:
    return "[" + ", ".join(str(round(value)) for value in found.box) + "]"


def _compared(event: Event, text: str) -> str:
    return "They start at the same time." if text == "same" else f"The {text} of the two starts earlier."


def _answered(event: Event, text: str) -> str:
    return f"Asked {event.query.rstrip('?')}? {_bare(text)}."


def _summed_up(event: Event, text: str) -> str:
    return f"In short: {_bare(text)}."


def _chosen(event: Event, text: str) -> str:
    told = "; ".join(f"{name}: {_bare(value)}" for name, value in event.info)
    return f"What I know: {told}." if told else ""


_TOLD: dict[str, Callable[[Event, str], str]] = {
    "Compare": _compared,
    "Video_query": _answered,
    "Video_summary": _summed_up,
    "select_answer": _chosen,
}


def _bare(text: str) -> str:
    """Text without the full stop that the sentence will bring."""
    return text.strip().rstrip(".").rstrip()


def _the(thing: str) -> str:
    return thing if thing.startswith("the ") else f"the {thing}"
