"""The tools a program sees, under the paper's names (appendix D.1; the last three from the later release).

The methods of `Tools` without a leading underscore *are* the API: the prompt shows their signatures and
docstrings (`api_text`), the check knows their names, and the sandbox calls them here, in the parent,
where pixels and models live. A method gets real `Clip`s; the program holds handles to them. Every
method writes its own event into the trace, so a program cannot leave one out or make one up.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from aotd.errors import QuestionError
from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    CountFinding,
    Detection,
    Event,
    Finding,
    FlagFinding,
    Outcome,
    SpanFinding,
    TextFinding,
)
from aotd.specialists.protocols import Specialists
from aotd.video.clip import Clip


class ToolError(Exception):
    """The program called a tool wrongly; the program sees this as an exception and may end in it."""


class Tools:
    """The tools over one set of specialists, writing the trace of one question."""

    def __init__(self, specialists: Specialists) -> None:
        self._specialists = specialists
        self._asked = 0
        self._events: list[Event] = []

    def Query_Objs(self, clip: Clip, query: str) -> list[Detection]:
        """Look for things in every frame of a clip.

        Returns a list of boxes, each with the fields `frame`, `x1`, `y1`, `x2`, `y2`, `label`, `score`.
        The list is empty when nothing is found.

        Example:
            cups = Query_Objs(video_clip, "cup/glass/bottle")
            first_frame = cups[0].frame
        """
        boxes = self._detect(clip, query)
        self._record("Query_Objs", clip, query, BoxesFinding(boxes=tuple(boxes)))
        return boxes

    def Query_Actions(
        self, clip: Clip, obj: str | None = None, possible_answers: Sequence[str] | None = None
    ) -> list[str]:
        """Name the actions in a clip, most likely first.

        With `obj`, only actions done with that thing. With `possible_answers`, the names are taken from them.

        Example:
            actions = Query_Actions(clip, "door", possible_answers)
        """
        self._need_clip(clip)
        wanted, names = _text_or_none(obj, "obj"), _texts(possible_answers or ())
        actions = self._ask().action.actions(clip, wanted, names)
        self._record("Query_Actions", clip, obj or "", ActionsFinding(actions=tuple(actions)))
        return actions

    def Filter_frames_with_act(self, clip: Clip, action: str) -> Clip:
        """Keep the part of a clip in which an action happens; an empty clip when it does not happen.

        Example:
            opening = Filter_frames_with_act(video_clip, "person opening the door")
            afterwards = trim(video_clip, opening.end, None)
        """
        self._need_clip(clip)
        span = self._ask().grounding.ground(clip, action) if _text(action, "action").strip() else None
        found = span or SpanFinding(start=0, end=0, score=0.0)
        self._record("Filter_frames_with_act", clip, action, found)
        return clip.span(found.start, found.end)

    def Filter_frames_with_obj(self, clip: Clip, obj: str) -> Clip:
        """Keep the frames of a clip in which a thing can be seen; an empty clip when it cannot.

        Example:
            with_bag = Filter_frames_with_obj(video_clip, "bag")
        """
        boxes = self._detect(clip, obj)
        self._record("Filter_frames_with_obj", clip, obj, BoxesFinding(boxes=tuple(boxes)))
        return clip.keep([box.frame for box in boxes])

    def trim(self, clip: Clip, start: int | None = None, end: int | None = None) -> Clip:
        """Keep the frames from number `start` up to, not including, number `end`. None is the clip's own end.

        Frame numbers are those of the whole video, and stay what they are.

        Example:
            before = trim(video_clip, None, opening.start)
        """
        self._need_clip(clip)
        first = clip.numbers[0] if clip.numbers else 0
        last = clip.numbers[-1] + 1 if clip.numbers else 0
        span = SpanFinding(
            start=first if start is None else max(_integer(start, "start"), 0),
            end=last if end is None else max(_integer(end, "end"), 0),
        )
        self._record("trim", clip, "", span)
        return clip.span(span.start, span.end)

    def Find(self, clip: Clip, obj: str) -> Clip:
        """Follow a thing through a clip: the frames in which it is seen, each cropped to it.

        Example:
            person = Find(video_clip, "person")
        """
        boxes = self._detect(clip, obj)
        best: dict[int, Detection] = {}
        for box in boxes:
            if box.frame not in best or box.score > best[box.frame].score:
                best[box.frame] = box
        kept = tuple(best[frame] for frame in sorted(best))
        self._record("Find", clip, obj, BoxesFinding(boxes=kept))
        return clip.crop({box.frame: box.box for box in kept})

    def exist(self, clip: Clip, query: str) -> bool:
        """Whether a thing can be seen anywhere in a clip.

        Example:
            seen = exist(video_clip, "shoe")
        """
        boxes = self._detect(clip, query)
        self._record("exist", clip, query, FlagFinding(flag=bool(boxes)))
        return bool(boxes)

    def Count(self, clip: Clip, query: str) -> int:
        """How many different things that match `query` can be seen in a clip at the same time.

        Example:
            books = Count(video_clip, "book")
        """
        boxes = self._detect(clip, query)
        per_frame: dict[int, int] = {}
        for box in boxes:
            per_frame[box.frame] = per_frame.get(box.frame, 0) + 1
        # One frame may show a stray box or hide a thing; the usual number over the frames that show any is steadier.
        seen = sorted(per_frame.values())
        count = seen[len(seen) // 2] if seen else 0
        self._record("Count", clip, query, CountFinding(count=count))
        return count

    def Video_query(self, clip: Clip, question: str) -> str:
        """Ask a simple question about a clip; a short answer in free words.

        Example:
            colour = Video_query(video_clip, "What is in the person's hand?")
        """
        self._need_clip(clip)
        asked = _text(question, "question")
        text = self._ask().answering.answer(clip, asked)
        self._record("Video_query", clip, question, TextFinding(text=text))
        return text

    def Video_summary(self, clip: Clip, query: str = "") -> str:
        """Sum up a clip in a sentence or two, with a question in mind.

        Example:
            summary = Video_summary(video_clip, query)
        """
        self._need_clip(clip)
        asked = _text(query, "query")
        text = self._ask().answering.summarise(clip, asked)
        self._record("Video_summary", clip, query, TextFinding(text=text))
        return text

    def Compare(self, first: Clip, second: Clip) -> str:
        """Say which of two clips starts earlier: "first", "second", or "same".

        An empty clip never starts: the other one is earlier.

        Example:
            opening = Filter_frames_with_act(video_clip, "person opening the box")
            sitting = Filter_frames_with_act(video_clip, "person sitting on the sofa/couch")
            earlier = Compare(opening, sitting)
        """
        self._need_clip(first)
        self._need_clip(second)
        never = first.video.frames
        starts = [clip.numbers[0] if clip.numbers else never for clip in (first, second)]
        text = "same" if starts[0] == starts[1] else "first" if starts[0] < starts[1] else "second"
        self._events.append(
            Event(
                step=len(self._events),
                tool="Compare",
                frames=tuple(sorted({*first.numbers[:1], *second.numbers[:1]})),
                query="which starts earlier",
                finding=TextFinding(text=text),
            )
        )
        return text

    def select_answer(
        self, query: str, info: Mapping[str, object], possible_answers: Sequence[str] | None = None
    ) -> str:
        """Choose the possible answer that the collected information supports best.

        `info` maps a few words that say what was found out to what was found out. Without possible
        answers, the reply is a short answer in free words.

        Example:
            info = {"what the person did with the door": actions, "summary of the clip": summary}
            answer = select_answer(query, info, possible_answers)
        """
        if not isinstance(info, Mapping):
            raise ToolError("select_answer: info must be a dict of what was found out")
        told = {str(name): _spoken(value) for name, value in info.items()}
        asked, options = _text(query, "query"), _texts(possible_answers or ())
        chosen = self._ask().answering.choose(asked, told, options)
        if chosen is None:
            raise QuestionError(Outcome.no_answer, "select_answer: the information supports none of the options")
        assert not options or chosen in options, "a specialist chose what is not an option"
        self._events.append(
            Event(
                step=len(self._events),
                tool="select_answer",
                frames=(),
                query=query,
                info=tuple(told.items()),
                finding=TextFinding(text=chosen),
            )
        )
        return chosen

    def _detect(self, clip: Clip, query: str) -> list[Detection]:
        """Boxes of a thing; of nothing named, nothing is found, whatever a detector would make of no words."""
        self._need_clip(clip)
        return self._ask().detection.detect(clip, query) if _text(query, "query").strip() else []

    def _ask(self) -> Specialists:
        """The specialists, for one call; it is counted."""
        self._asked += 1
        return self._specialists

    def _need_clip(self, clip: object) -> None:
        if not isinstance(clip, Clip):
            raise ToolError(f"wants a clip, was given {type(clip).__name__}")

    def _record(self, tool: str, clip: Clip, query: str, finding: Finding) -> None:
        self._events.append(Event(step=len(self._events), tool=tool, frames=clip.numbers, query=query, finding=finding))


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ToolError(f"{name} must be text, was given {type(value).__name__}")
    return value


def _text_or_none(value: object, name: str) -> str | None:
    return None if value is None else _text(value, name)


def _texts(values: Sequence[object]) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ToolError("possible_answers must be a list of texts")
    return [_text(value, "a possible answer") for value in values]


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolError(f"{name} must be a frame number, was given {type(value).__name__}")
    if not abs(value) < 1e9:  # also what is not finite
        raise ToolError(f"{name} must be a frame number, was given one that no video has")
    return int(value)


def _spoken(value: object) -> str:
    """A value of `info` as words: what a specialist, and later a reader, is told."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Clip):
        return f"frames {value.numbers[0]} to {value.numbers[-1]}" if value.numbers else "no frames"
    if isinstance(value, Detection):
        return f"{value.label} in frame {value.frame}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_spoken(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_spoken(item) for item in value) or "nothing"
    return "nothing" if value is None else str(value)


@functools.cache
def signatures() -> Mapping[str, inspect.Signature]:
    """Tool -> its signature as a program sees it."""
    found = {}
    for name, method in vars(Tools).items():
        if not name.startswith("_"):
            signature = inspect.signature(method)
            found[name] = signature.replace(parameters=list(signature.parameters.values())[1:])
    return MappingProxyType(found)


def api_text(without: Sequence[str] = ()) -> str:
    """The tools' signatures and docstrings as Python source, for prompts; some may be left out."""
    parts = []
    for name, signature in signatures().items():
        if name in without:
            continue
        doc = inspect.getdoc(getattr(Tools, name))
        assert doc, f"{name} has no docstring"
        taken = ", ".join(_parameter(parameter) for parameter in signature.parameters.values())
        body = textwrap.indent(doc, "    ").strip()
        parts.append(f'def {name}({taken}) -> {_shown(signature.return_annotation)}:\n    """{body}\n    """')
    return "\n\n".join(parts)


def _parameter(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {_shown(parameter.annotation)}{default}"


def _shown(annotation: str) -> str:
    """A type in the words a program's author knows."""
    for ours, theirs in (("Sequence", "list"), ("Mapping[str, object]", "dict"), ("Detection", "Box")):
        annotation = annotation.replace(ours, theirs)
    return annotation


def trace(tools: Tools) -> tuple[Event, ...]:
    """What the tools have written so far."""
    return tuple(tools._events)


def specialist_calls(tools: Tools) -> int:
    """How often the tools have asked a specialist, also where it failed."""
    return tools._asked


def call(tools: Tools, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Call a tool by name.

    Raises:
        ToolError: no such tool, or wrong arguments.
        QuestionError: the tool ends the question.
    """
    if name not in signatures():
        raise ToolError(f"there is no tool {name}")
    try:
        signatures()[name].bind(*arguments, **keywords)
    except TypeError as error:
        raise ToolError(f"{name}: {error}") from None
    return getattr(tools, name)(*arguments, **keywords)
