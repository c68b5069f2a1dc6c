from __future__ import annotations

import pytest

from aotd.records import (
    BoxesFinding,
    CountFinding,
    Detection,
    Event,
    Question,
    SpanFinding,
    TextFinding,
    Thought,
    Trace,
)
from aotd.scoring.answers import plain
from aotd.verify.checks import check_answer, check_coherent, check_faithful

QUESTION = Question(
    question_id="q", dataset="d", split="train", video_id="v", question="What was opened?", type="T",
    options=("The door.", "The box."), answer="The door.",
)  # fmt: skip
OPEN = QUESTION.model_copy(update={"options": (), "answer": "the door"})


def event(step: int, tool: str, query: str, finding: object, frames: tuple[int, ...] = tuple(range(8))) -> Event:
    return Event(step=step, tool=tool, frames=frames, query=query, finding=finding)  # type: ignore[arg-type]


def trace(*events: Event) -> Trace:
    return Trace(question_id="q", frames=8, start_s=0, end_s=8, width=40, height=30, events=events, answer="The door.")


SEEN = trace(
    event(0, "Filter_frames_with_act", "person opening", SpanFinding(start=2, end=6)),
    event(
        1,
        "Find",
        "cup/glass/bottle",
        BoxesFinding(boxes=(Detection(frame=3, box=(1.4, 2, 5.6, 9), label="cup/glass/bottle", score=0.9),)),
        (2, 3, 4, 5),
    ),
    event(2, "Count", "book", CountFinding(count=2)),
    event(3, "select_answer", "What was opened?", TextFinding(text="The door."), ()),
)
TRUE = (
    "I see cup/glass/bottle at [1, 2, 6, 9] in frame 3. From frame 2 to frame 5. Count of book: 2. "
    "So the answer is the door."
)


def faithful(text: str, of: Trace = SEEN, question: Question = QUESTION) -> tuple[bool, str]:
    thought = Thought(question_id="q", text=text, answer="The door.", writer="llm")
    got = check_faithful(question, thought, of, check_answer(question, thought.answer))
    return got.passed, got.reason


def test_claims_of_the_trace_are_faithful() -> None:
    assert faithful(TRUE) == (True, "all that it states stands in the trace")
    # A frame stands for a second here; half a second is as near as frames can tell.
    assert faithful(TRUE.replace("From frame 2 to frame 5", "From 2.4 to 6 seconds"))[0]


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("[1, 2, 6, 9]", "[1, 2, 6, 10]", "no box"),
        ("in frame 3", "in frame 4", "no box"),
        ("[1, 2, 6, 9]", "[1, 2, 6]", "numbers in brackets"),
        ("[1, 2, 6, 9]", "(1, 2, 6, 10)", "numbers in brackets"),
        ("[1, 2, 6, 9]", "【1，2，6，10】", "numbers in brackets"),
        ("[1, 2, 6, 9]", "[\uff11, 2, 6, 10]", "no box"),
        ("in frame 3", "in fra\u200bme 4", "no box"),
        ("From frame 2 to frame 5", "From fr\u00adame 2 to frame 6", "no step found frames 2 to 6"),
        ("Count of book: 2", "Co\u2060unt of book: 3", "not counted"),
        ("I see cup/glass/bottle", "I see book", "no box"),
        ("From frame 2 to frame 5", "From frame 2 to frame 6", "no step found frames 2 to 6"),
        ("From frame 2 to frame 5", "From 2 to 7 seconds", "no step found 2 to 7 seconds"),
        ("Count of book: 2", "Count of book: 3", "not counted"),
        ("Count of book: 2", "In frame 9 it ends", "frame 9"),
        ("So the answer is the door.", "So the answer is the box.", "ends in"),
        ("So the answer is the door.", "", "does not end in an answer"),
    ],
)
def test_changed_fact_is_unfaithful(was: str, becomes: str, says: str) -> None:
    assert was in TRUE
    passed, reason = faithful(TRUE.replace(was, becomes))
    assert not passed
    assert says in reason


@pytest.mark.parametrize(
    ("given", "right"), [("The door.", True), ("the door", False), ("", False), ("a", False), ("The box.", False)]
)
def test_choice_must_match_to_the_letter(given: str, right: bool) -> None:
    assert check_answer(QUESTION, given).passed is right


@pytest.mark.parametrize(
    ("given", "right"), [("A door.", True), ("Door", True), ("", False), ("a", False), ("open door", False)]
)
def test_open_answer_matches_in_plain_words(given: str, right: bool) -> None:
    assert check_answer(OPEN, given).passed is right


def test_plain_keeps_slashes_and_drops_articles() -> None:
    assert plain("The cup/glass/bottle.") == "cup/glass/bottle"


def test_tool_without_frames_is_no_reason_for_incoherent() -> None:
    finding = TextFinding(text="the door, then the book")
    looked_up = event(0, "Recall", "what was opened", finding, ()).model_copy(update={"arguments": {"what": "opened"}})
    thought = Thought(question_id="q", text="I recall it. So the answer is it.", answer="it", writer="template")
    assert check_coherent(thought, trace(looked_up)).passed
    unseen = looked_up.model_copy(update={"arguments": {"clip": {"frames": []}}})
    assert check_coherent(thought, trace(unseen)).reason == "step 0 (Recall): was given no frame"
    concluded = looked_up.model_copy(update={"info": (("a", "b"),)})
    assert check_coherent(thought, trace(concluded)).reason == "nothing was looked at"


def test_empty_step_is_incoherent() -> None:
    thought = Thought(question_id="q", text=TRUE, answer="The door.", writer="template")
    assert check_coherent(thought, SEEN).passed
    lucky = trace(
        event(0, "Filter_frames_with_act", "person flying", SpanFinding(start=0, end=0)),
        *SEEN.events[1:],
    )
    got = check_coherent(thought, lucky)
    assert not got.passed
    assert "person flying was not found" in got.reason
    assert not check_coherent(thought, trace(SEEN.events[3])).passed


@pytest.mark.parametrize(
    "mark", ["<think>", "</think>", "‹/think›", "[/THINK]", "(THINK)", "◁/think▷", "assistantfinal"]
)
def test_what_a_model_reasoned_aloud_is_never_kept(mark: str) -> None:
    passed, reason = faithful(f"It may be a box. {mark} {TRUE}")
    assert not passed
    assert reason.startswith("it holds '")
    assert "a mark of a model's reasoning" in reason
    told = event(4, "Video_query", "What?", TextFinding(text=f"<a box? {mark} a door"))
    passed, reason = faithful(TRUE, SEEN.model_copy(update={"events": (*SEEN.events, told)}))
    assert not passed
    assert reason.startswith("step 4 (Video_query) holds '")
