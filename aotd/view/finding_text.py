"""What tools found, in words: the one renderer of findings.

Every kind of finding has one class here, with a method for each style:

- a list of findings for a prompt (`numbered`): `2. found book: at [60, 52, 71, 64] in frame 10`;
- a sentence of a chain of thought (`sentence`): `I see book at [60, 52, 71, 64] in frame 10.`;
- a table on a page or a terminal (`finding_words`): `1 box: book [60, 52, 71, 64] in frame 10 (0.90)`;
- a bar over time (`track`).

The same class says which claims a finding supports (`support`) and whether nothing was found (`missing`), for `verify`.
A tool may declare words of its own (`aotd.tools.toolbox.Tool`). An event with an observation is told by that, whether
or not its tool is known here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
    Trace,
)
from aotd.tools.toolbox import Tool, ToolKind
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import span_seconds

LONGEST = 2_000
"""Characters of one text in a line; a summary of a clip has some hundreds."""

F = TypeVar("F")
T = TypeVar("T")


@dataclass(frozen=True)
class Track:
    """A finding over time."""

    kind: str
    """`found` (grounded), `looked` (trimmed to) or `seen` (boxes)."""
    name: str
    words: str
    spans: tuple[tuple[int, int], ...]
    """Frames, `[start, end)`."""


@dataclass(frozen=True)
class Support:
    """Claims that a finding supports."""

    spans: tuple[tuple[int, int], ...] = ()
    """Frames, `[start, end)`."""
    frames: tuple[int, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    """(what was counted, how many)."""
    boxes: tuple[Detection, ...] = ()


class FindingText(ABC, Generic[F]):
    """One kind of finding in words."""

    @abstractmethod
    def label(self, query: str) -> str:
        """What was asked, before a colon."""

    @abstractmethod
    def phrase(self, finding: F, boxes: int) -> str:
        """What was found, inside a sentence; empty where nothing was found."""

    @abstractmethod
    def listed(self, finding: F, boxes: int) -> str:
        """What was found, behind a label."""

    @abstractmethod
    def sentence(self, query: str, finding: F, boxes: int) -> str:
        """What was asked and found, in a chain of thought."""

    @abstractmethod
    def detail(self, finding: F, trace: Trace, most: int) -> str:
        """What was found, with scores and seconds."""

    def track(self, event: Event, finding: F, trace: Trace) -> Track | None:
        """The finding over time; None where it has no place in time."""
        return None

    def missing(self, query: str, finding: F) -> str | None:
        """Why a step with this finding leads nowhere; None where it found something."""
        return None

    def support(self, query: str, finding: F) -> Support:
        """The claims that it supports."""
        return Support()


class _SpanText(FindingText[SpanFinding]):
    def label(self, query: str) -> str:
        return f"looked for {query}"

    def phrase(self, finding: SpanFinding, boxes: int) -> str:
        empty = finding.end <= finding.start
        return "" if empty else f"from frame {finding.start} to frame {finding.end - 1}"

    def listed(self, finding: SpanFinding, boxes: int) -> str:
        return self.phrase(finding, boxes) or "not found"

    def sentence(self, query: str, finding: SpanFinding, boxes: int) -> str:
        where = self.phrase(finding, boxes)
        return f"I look for {bare(query)}: {f'it happens {where}' if where else 'it is not seen'}."

    def detail(self, finding: SpanFinding, trace: Trace, most: int) -> str:
        if finding.end <= finding.start:
            return "no frame"
        score = "" if finding.score is None else f", score {finding.score:.2f}"
        start_s, end_s = seconds(trace, finding.start, finding.end)
        return f"{frame_words(range(finding.start, finding.end))} ({start_s:.1f}–{end_s:.1f} s{score})"

    def track(self, event: Event, finding: SpanFinding, trace: Trace) -> Track:
        if finding.end <= finding.start:
            return Track("found", event.query or event.tool, "not found", ())
        tool = VIDEO_TOOLS.by_name.get(event.tool)
        kind = "looked" if tool and not tool.subtask else "found"
        start_s, end_s = seconds(trace, finding.start, finding.end)
        words = f"{frame_words(range(finding.start, finding.end))}, {start_s:.1f}–{end_s:.1f} s"
        return Track(kind, event.query or "look on", words, ((finding.start, finding.end),))

    def missing(self, query: str, finding: SpanFinding) -> str | None:
        return f"{query or 'the part asked for'} was not found" if finding.end <= finding.start else None

    def support(self, query: str, finding: SpanFinding) -> Support:
        return Support(spans=((finding.start, finding.end),), frames=tuple(range(finding.start, finding.end)))


class _BoxesText(FindingText[BoxesFinding]):
    def label(self, query: str) -> str:
        return f"found {query}"

    def phrase(self, finding: BoxesFinding, boxes: int) -> str:
        return ", ".join(f"{_corners(box)} in frame {box.frame}" for box in _some_boxes(finding.boxes, boxes))

    def listed(self, finding: BoxesFinding, boxes: int) -> str:
        places = (f"at {_corners(box)} in frame {box.frame}" for box in _some_boxes(finding.boxes, max(boxes, 1)))
        return "; ".join(places) or "nothing"

    def sentence(self, query: str, finding: BoxesFinding, boxes: int) -> str:
        return f"I see {query} at {self.phrase(finding, boxes)}." if finding.boxes else f"I do not see {query}."

    def detail(self, finding: BoxesFinding, trace: Trace, most: int) -> str:
        if not finding.boxes:
            return "nothing found"
        shown = [f"{box.label} {_corners(box)} in frame {box.frame} ({box.score:.2f})" for box in finding.boxes[:most]]
        more = len(finding.boxes) - len(shown)
        total = f"{len(finding.boxes)} box{'es' * (len(finding.boxes) > 1)}: "
        return total + "; ".join(shown) + (f"; and {more} more" if more else "")

    def track(self, event: Event, finding: BoxesFinding, trace: Trace) -> Track:
        numbers = sorted({box.frame for box in finding.boxes})
        words = f"boxed in {frame_words(numbers)}" if numbers else "not found"
        return Track("seen", event.query, words, tuple((run[0], run[1]) for run in _runs(numbers)))

    def missing(self, query: str, finding: BoxesFinding) -> str | None:
        return None if finding.boxes else f"{query} was not found"

    def support(self, query: str, finding: BoxesFinding) -> Support:
        return Support(boxes=finding.boxes)


class _ActionsText(FindingText[ActionsFinding]):
    def label(self, query: str) -> str:
        return f"actions with {query}" if query else "actions"

    def phrase(self, finding: ActionsFinding, boxes: int) -> str:
        return ", ".join(map(bare, finding.actions))

    def listed(self, finding: ActionsFinding, boxes: int) -> str:
        return ", ".join(_line(action) for action in finding.actions) or "none"

    def sentence(self, query: str, finding: ActionsFinding, boxes: int) -> str:
        thing = query if query.startswith("the ") else f"the {query}"
        return f"The actions{f' with {thing}' if query else ''}: {self.phrase(finding, boxes) or 'none is seen'}."

    def detail(self, finding: ActionsFinding, trace: Trace, most: int) -> str:
        return ", ".join(finding.actions) or "no action"

    def missing(self, query: str, finding: ActionsFinding) -> str | None:
        if finding.actions:
            return None
        return f"no action with {query} was found" if query else "no action was found"


class _CountText(FindingText[CountFinding]):
    def label(self, query: str) -> str:
        return f"count of {query}"

    def phrase(self, finding: CountFinding, boxes: int) -> str:
        return str(finding.count)

    def listed(self, finding: CountFinding, boxes: int) -> str:
        return str(finding.count)

    def sentence(self, query: str, finding: CountFinding, boxes: int) -> str:
        return f"Count of {query}: {finding.count}."

    def detail(self, finding: CountFinding, trace: Trace, most: int) -> str:
        return str(finding.count)

    def support(self, query: str, finding: CountFinding) -> Support:
        return Support(counts=((query, finding.count),))


class _FlagText(FindingText[FlagFinding]):
    def label(self, query: str) -> str:
        return f"is there {query}"

    def phrase(self, finding: FlagFinding, boxes: int) -> str:
        return "yes" if finding.flag else "no"

    def listed(self, finding: FlagFinding, boxes: int) -> str:
        return self.phrase(finding, boxes)

    def sentence(self, query: str, finding: FlagFinding, boxes: int) -> str:
        return f"Is there {query}: {self.phrase(finding, boxes)}."

    def detail(self, finding: FlagFinding, trace: Trace, most: int) -> str:
        return self.phrase(finding, most)


class _TextText(FindingText[TextFinding]):
    def label(self, query: str) -> str:
        return f'asked "{query}"'

    def phrase(self, finding: TextFinding, boxes: int) -> str:
        return bare(finding.text)

    def listed(self, finding: TextFinding, boxes: int) -> str:
        return _line(finding.text)

    def sentence(self, query: str, finding: TextFinding, boxes: int) -> str:
        return f"Asked {query.rstrip('?')}? {self.phrase(finding, boxes)}."

    def detail(self, finding: TextFinding, trace: Trace, most: int) -> str:
        return finding.text


TEXTS: Mapping[type[Any], FindingText[Any]] = {
    SpanFinding: _SpanText(),
    BoxesFinding: _BoxesText(),
    ActionsFinding: _ActionsText(),
    CountFinding: _CountText(),
    FlagFinding: _FlagText(),
    TextFinding: _TextText(),
}
"""Class of a finding -> its words. A finding of a new kind is one row, and one class above."""


def numbered(events: Sequence[Event], boxes: int) -> str:
    """What tools found, one numbered line per step, for a prompt.

    A tool that reasons is left out: what it was told has been found by the steps before it.

    Args:
        boxes: of one finding at most, spread over its frames.
    """
    lines = [_listed(event, boxes) for event in events if kind_of(event) is not ToolKind.reasoning]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1)) or "nothing was looked at"


def _listed(event: Event, boxes: int) -> str:
    if event.observation:
        return _line(event.observation)
    text, tool = TEXTS[type(event.finding)], VIDEO_TOOLS.by_name.get(event.tool)
    query = _line(event.query)
    label = tool.label.format(query=query) if tool and tool.label else text.label(query)
    return f"{label}: {text.listed(event.finding, boxes)}"


def sentence(event: Event, boxes: int) -> str:
    """A tool call as a sentence of a chain of thought; empty where it says nothing.

    Args:
        boxes: how many boxes of one finding are written, spread evenly over its frames.
    """
    return event.observation or _sentence(event, VIDEO_TOOLS.by_name.get(event.tool), boxes)


def observed(events: Iterable[Event], tools: Mapping[str, Tool]) -> tuple[Event, ...]:
    """Events with their observation: the sentence that their tool declares.

    A tool that is not spelled out has none.
    """
    return tuple(
        event.model_copy(update={"observation": one_line(_sentence(event, tool, 1))})
        if (tool := tools.get(event.tool)) and tool.spelled_out and tool.sentence
        else event
        for event in events
    )


def _sentence(event: Event, tool: Tool | None, boxes: int) -> str:
    text = TEXTS[type(event.finding)]
    if tool is None or not tool.sentence:
        return text.sentence(event.query, event.finding, boxes)
    if "{info}" in tool.sentence and not event.info:
        return ""
    found = text.phrase(event.finding, boxes)
    info = "; ".join(f"{name}: {bare(value)}" for name, value in event.info)
    return tool.sentences.get(found, tool.sentence).format(query=event.query, finding=found, info=info)


def finding_words(event: Event, trace: Trace, most: int) -> str:
    """What a tool call came back with, in words; a long list of boxes is cut to `most` and counted.

    Frames are written like in a chain of thought: first and last, both included.
    """
    return event.observation or TEXTS[type(event.finding)].detail(event.finding, trace, most)


def track(event: Event, trace: Trace) -> Track | None:
    """A finding over time; None where it has no place in time."""
    return TEXTS[type(event.finding)].track(event, event.finding, trace)


def missing(event: Event) -> str | None:
    """Why a step leads nowhere; None where it found something."""
    if not event.frames and kind_of(event) is ToolKind.frames:
        return "was given no frame"
    return TEXTS[type(event.finding)].missing(event.query, event.finding)


def support(event: Event) -> Support:
    """The claims that a step's finding supports."""
    return TEXTS[type(event.finding)].support(event.query, event.finding)


def kind_of(event: Event) -> ToolKind:
    """What a step's finding rests on: as declared for a tool of the paper, as its event tells for any other."""
    if tool := VIDEO_TOOLS.by_name.get(event.tool):
        return tool.kind
    if event.info:
        return ToolKind.reasoning
    clips = (value for value in event.arguments.values() if isinstance(value, dict) and value.keys() == {"frames"})
    return ToolKind.frames if any(True for _ in clips) else ToolKind.knowledge


def seconds(trace: Trace, start: int, end: int) -> tuple[float, float]:
    """A span of frames `[start, end)` in seconds of the video file."""
    return span_seconds(start, end, trace.start_s, trace.end_s, trace.frames)


def frame_words(numbers: Sequence[int]) -> str:
    """Frame numbers, ascending, in words: runs of neighbours are drawn together."""
    parts = [f"{start}–{end - 1}" if end - start > 1 else str(start) for start, end in _runs(numbers)]
    return f"frame{'s' if len(numbers) > 1 else ''} " + ", ".join(parts) if parts else "no frames"


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Runs of neighbours in ascending numbers, as [start, end)."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1]:
            runs[-1][1] = number + 1
        else:
            runs.append([number, number + 1])
    return runs


def _corners(box: Detection) -> str:
    return "[" + ", ".join(str(round(value)) for value in box.box) + "]"


def _some_boxes(boxes: tuple[Detection, ...], count: int) -> list[Detection]:
    """At most `count` boxes; of several, a single one is the best."""
    return [max(boxes, key=lambda box: box.score)] if count == 1 < len(boxes) else evenly(boxes, count)


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, 2 or more, evenly over their order, with the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def bare(text: str) -> str:
    """Text without the full stop that the sentence will bring."""
    return text.strip().rstrip(".").rstrip()


def _line(text: str) -> str:
    """Text that a program or a specialist chose, as far as a prompt has room for it."""
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
