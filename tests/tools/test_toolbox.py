"""A tool of one's own: its declaration decides the prompt, the call, the event and the words."""

from __future__ import annotations

import pickle

import pytest

from aotd.errors import UserError
from aotd.records import CountFinding, Event, SpanFinding, TextFinding
from aotd.sandbox.check import InvalidProgramError, check
from aotd.tools.toolbox import ToolContext, ToolError, ToolKind, ToolSession, tool
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from aotd.view.finding_text import kind_of, numbered, observed, sentence
from tests.conftest import BlankVideo, Scripted


@tool(ToolKind.knowledge, TextFinding, sentence="I remember {finding}.")
def Recall(context: ToolContext, what: str, limit: float = 1.0) -> str:
    """Recall what was seen before."""
    return f"the {what}"


@tool(ToolKind.frames, CountFinding, subtask="detection")
def Count_frames(context: ToolContext, clip: Clip) -> int:
    """Count the frames of a clip."""
    return len(clip.numbers)


@tool(ToolKind.frames, SpanFinding)
def Broken(context: ToolContext, clip: Clip) -> str:
    """Ask a specialist that it does not declare."""
    return context.specialists().answering.answer(clip, "?")


TOOLS = VIDEO_TOOLS.with_tool(Recall).with_tool(Count_frames)


def called(scripted: Scripted, name: str, *arguments: object, **keywords: object) -> Event:
    session = ToolSession(TOOLS, scripted.bundle())
    session.call(name, arguments, keywords)
    (event,) = observed(session.events, TOOLS.by_name)
    return event


def test_prompt_text_holds_the_added_tool_last() -> None:
    assert TOOLS.prompt_text().startswith(VIDEO_TOOLS.prompt_text())
    assert 'def Recall(what: str, limit: float = 1.0) -> str:\n    """Recall what was seen' in TOOLS.prompt_text()


def test_event_of_a_tool_without_a_clip(scripted: Scripted) -> None:
    event = called(scripted, "Recall", "door", limit=float("inf"))
    assert (event.frames, event.query, event.finding) == ((), "door", TextFinding(text="the door"))
    assert event.arguments == {"what": "door", "limit": "inf"}
    assert event.observation == sentence(event, 3) == "I remember the door."
    assert numbered([event], 3) == "1. I remember the door."
    assert kind_of(event) is ToolKind.knowledge


def test_event_of_a_tool_without_a_sentence_is_told_by_its_finding(scripted: Scripted, blank: BlankVideo) -> None:
    event = called(scripted, "Count_frames", Clip.whole(blank))
    assert (event.arguments, event.observation) == ({"clip": {"frames": [0, 8]}}, "")
    assert sentence(event, 3) == "Count of : 8."


def test_tool_of_the_paper_leaves_the_new_fields_empty(scripted: Scripted, blank: BlankVideo) -> None:
    event = called(scripted, "Video_query", Clip.whole(blank), "why?")
    assert (event.arguments, event.observation) == ({}, "")


def test_undeclared_specialist_is_our_mistake(scripted: Scripted, blank: BlankVideo) -> None:
    session = ToolSession(VIDEO_TOOLS.with_tool(Broken), scripted.bundle())
    with pytest.raises(AssertionError, match="Broken declares no sub-task"):
        session.call("Broken", [Clip.whole(blank)], {})


def test_tool_that_was_taken_out_is_neither_callable_nor_a_free_name(scripted: Scripted) -> None:
    less = TOOLS.without(["Recall", "Unknown"])
    with pytest.raises(ToolError, match="no tool Recall"):
        ToolSession(less, scripted.bundle()).call("Recall", ["door"], {})
    code = "def execute_command(clip, query, options):\n    Recall = 'x'\n    return Recall\n"
    with pytest.raises(InvalidProgramError, match="Recall is a tool and may not be assigned"):
        check(code, less)
    check(code, VIDEO_TOOLS)


def test_second_tool_of_one_name_is_refused() -> None:
    with pytest.raises(UserError, match="there is a tool Recall already"):
        TOOLS.with_tool(Recall)


def test_another_process_imports_tools_by_name() -> None:
    copy = pickle.loads(pickle.dumps(TOOLS.without(["Find"])))
    assert copy == TOOLS.without(["Find"])
    assert copy.by_name["Recall"] is Recall


def test_event_holds_arguments_that_were_left_to_their_defaults(scripted: Scripted) -> None:
    assert called(scripted, "Recall", "door").arguments == {"what": "door", "limit": 1.0}
