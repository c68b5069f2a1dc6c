"""The paper's tools over a video, under its names (appendix D.1; the last three are from the later release).

A program holds handles to clips; a tool gets the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aotd.errors import QuestionError
from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    CountFinding,
    Detection,
    FlagFinding,
    Outcome,
    SpanFinding,
    TextFinding,
)
from aotd.tools.toolbox import Toolbox, ToolContext, ToolError, ToolKind, in_words, tool
from aotd.video.clip import Clip

_tool = partial(tool, spelled_out=False)


@_tool(ToolKind.frames, BoxesFinding, subtask="detection")
def Query_Objs(context: ToolContext, clip: Clip, query: str) -> list[Detection]:
    """Look for things in every frame of a clip.

    Returns a list of boxes, each with the fields `frame`, `x1`, `y1`, `x2`, `y2`, `label`, `score`.
    The list is empty when nothing is found.

    Example:
        cups = Query_Objs(video_clip, "cup/glass/bottle")
        first_frame = cups[0].frame
    """
    return _detect(context, clip, query)


@_tool(ToolKind.frames, ActionsFinding, subtask="action")
def Query_Actions(
    context: ToolContext, clip: Clip, obj: str | None = None, possible_answers: Sequence[str] | None = None
) -> list[str]:
    """Name the actions in a clip, most likely first.

    With `obj`, only actions done with that thing. With `possible_answers`, the names are taken from them.

    Example:
        actions = Query_Actions(clip, "door", possible_answers)
    """
    _need_clip(clip)
    wanted, names = _text_or_none(obj, "obj"), _texts(possible_answers or ())
    return context.specialists().action.actions(clip, wanted, names)


@_tool(ToolKind.frames, SpanFinding, subtask="grounding")
def Filter_frames_with_act(context: ToolContext, clip: Clip, action: str) -> Clip:
    """Keep the part of a clip in which an action happens; an empty clip when it does not happen.

    Example:
        opening = Filter_frames_with_act(video_clip, "person opening the door")
        afterwards = trim(video_clip, opening.end, None)
    """
    _need_clip(clip)
    span = context.specialists().grounding.ground(clip, action) if _text(action, "action").strip() else None
    span = span or SpanFinding(start=0, end=0, score=0.0)
    context.found(span)
    return clip.span(span.start, span.end)


@_tool(ToolKind.frames, BoxesFinding, subtask="detection")
def Filter_frames_with_obj(context: ToolContext, clip: Clip, obj: str) -> Clip:
    """Keep the frames of a clip in which a thing can be seen; an empty clip when it cannot.

    Example:
        with_bag = Filter_frames_with_obj(video_clip, "bag")
    """
    boxes = _detect(context, clip, obj)
    context.found(BoxesFinding(boxes=tuple(boxes)))
    return clip.keep([box.frame for box in boxes])


@_tool(
    ToolKind.frames,
    SpanFinding,
    label="then looked only",
    sentence="I look on {finding}.",
    sentences={"": "No frame is left to look at."},
)
def trim(context: ToolContext, clip: Clip, start: int | None = None, end: int | None = None) -> Clip:
    """Keep the frames from number `start` up to, not including, number `end`. None is the clip's own end.

    Frame numbers are those of the whole video, and stay what they are.

    Example:
        before = trim(video_clip, None, opening.start)
    """
    _need_clip(clip)
    first = clip.numbers[0] if clip.numbers else 0
    last = clip.numbers[-1] + 1 if clip.numbers else 0
    span = SpanFinding(
        start=first if start is None else max(_integer(start, "start"), 0),
        end=last if end is None else max(_integer(end, "end"), 0),
    )
    context.found(span)
    return clip.span(span.start, span.end)


@_tool(ToolKind.frames, BoxesFinding, subtask="detection")
def Find(context: ToolContext, clip: Clip, obj: str) -> Clip:
    """Follow a thing through a clip: the frames in which it is seen, each cropped to it.

    Example:
        person = Find(video_clip, "person")
    """
    boxes = _detect(context, clip, obj)
    best: dict[int, Detection] = {}
    for box in boxes:
        if box.frame not in best or box.score > best[box.frame].score:
            best[box.frame] = box
    followed = tuple(best[frame] for frame in sorted(best))
    context.found(BoxesFinding(boxes=followed))
    return clip.crop({box.frame: box.box for box in followed})


@_tool(ToolKind.frames, FlagFinding, subtask="detection")
def exist(context: ToolContext, clip: Clip, query: str) -> bool:
    """Whether a thing can be seen anywhere in a clip.

    Example:
        seen = exist(video_clip, "shoe")
    """
    return bool(_detect(context, clip, query))


@_tool(ToolKind.frames, CountFinding, subtask="detection")
def Count(context: ToolContext, clip: Clip, query: str) -> int:
    """How many different things that match `query` can be seen in a clip at the same time.

    Example:
        books = Count(video_clip, "book")
    """
    boxes = _detect(context, clip, query)
    per_frame: dict[int, int] = {}
    for box in boxes:
        per_frame[box.frame] = per_frame.get(box.frame, 0) + 1
    # One frame may show a stray box or hide a thing; the usual number over the frames that show any is steadier.
    numbers = sorted(per_frame.values())
    return numbers[len(numbers) // 2] if numbers else 0


@_tool(ToolKind.frames, TextFinding, subtask="answering")
def Video_query(context: ToolContext, clip: Clip, question: str) -> str:
    """Ask a simple question about a clip; a short answer in free words.

    Example:
        colour = Video_query(video_clip, "What is in the person's hand?")
    """
    _need_clip(clip)
    words = _text(question, "question")
    return context.specialists().answering.answer(clip, words)


@_tool(ToolKind.frames, TextFinding, subtask="answering", label="in short", sentence="In short: {finding}.")
def Video_summary(context: ToolContext, clip: Clip, query: str = "") -> str:
    """Sum up a clip in a sentence or two, with a question in mind.

    Example:
        summary = Video_summary(video_clip, query)
    """
    _need_clip(clip)
    words = _text(query, "query")
    return context.specialists().answering.summarise(clip, words)


@_tool(
    ToolKind.frames,
    TextFinding,
    label="which of the two starts earlier",
    sentence="The {finding} of the two starts earlier.",
    sentences={"same": "They start at the same time."},
)
def Compare(context: ToolContext, first: Clip, second: Clip) -> str:
    """Say which of two clips starts earlier: "first", "second", or "same".

    An empty clip never starts: the other one is earlier.

    Example:
        opening = Filter_frames_with_act(video_clip, "person opening the box")
        sitting = Filter_frames_with_act(video_clip, "person sitting on the sofa/couch")
        earlier = Compare(opening, sitting)
    """
    _need_clip(first)
    _need_clip(second)
    never = first.video.frames
    starts = [clip.numbers[0] if clip.numbers else never for clip in (first, second)]
    text = "same" if starts[0] == starts[1] else "first" if starts[0] < starts[1] else "second"
    frames = tuple(sorted({*first.numbers[:1], *second.numbers[:1]}))
    context.found(TextFinding(text=text), frames=frames, query="which starts earlier")
    return text


@_tool(ToolKind.reasoning, TextFinding, subtask="answering", sentence="What I know: {info}.")
def select_answer(
    context: ToolContext, query: str, info: Mapping[str, object], possible_answers: Sequence[str] | None = None
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
    facts = {str(name): in_words(value) for name, value in info.items()}
    words, options = _text(query, "query"), _texts(possible_answers or ())
    chosen = context.specialists().answering.choose(words, facts, options)
    if chosen is None:
        raise QuestionError(Outcome.no_answer, "select_answer: the information supports none of the options")
    assert not options or chosen in options, "a specialist chose what is not an option"
    context.found(TextFinding(text=chosen), info=tuple(facts.items()))
    return chosen


VIDEO_TOOLS = Toolbox(
    (
        Query_Objs,
        Query_Actions,
        Filter_frames_with_act,
        Filter_frames_with_obj,
        trim,
        Find,
        exist,
        Count,
        Video_query,
        Video_summary,
        Compare,
        select_answer,
    )
)
"""The paper's twelve tools."""


def _detect(context: ToolContext, clip: Clip, query: str) -> list[Detection]:
    """Boxes of a thing; of nothing named, nothing is found, whatever a detector would make of no words."""
    _need_clip(clip)
    return context.specialists().detection.detect(clip, query) if _text(query, "query").strip() else []


def _need_clip(clip: object) -> None:
    if not isinstance(clip, Clip):
        raise ToolError(f"wants a clip, was given {type(clip).__name__}")


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
