from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aotd.convert.template import write
from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    Check,
    CountFinding,
    Detection,
    Event,
    FlagFinding,
    Question,
    SpanFinding,
    TextFinding,
    Thought,
    Trace,
)
from aotd.verify.checks import check_faithful


def trace(*events: Event, answer: str = "The door.") -> Trace:
    return Trace(question_id="q", frames=32, start_s=0, end_s=8, width=400, height=300, events=events, answer=answer)


def event(tool: str, query: str, finding: object) -> Event:
    return Event(step=0, tool=tool, frames=tuple(range(32)), query=query, finding=finding)  # type: ignore[arg-type]


def test_template_writes_one_sentence_per_step_then_answer() -> None:
    boxes = tuple(Detection(frame=n, box=(n, 2.4, 30, 40), label="cup", score=0.5) for n in range(3, 9))
    text = write(
        trace(
            event("Filter_frames_with_act", "person opening the door", SpanFinding(start=3, end=9)),
            event("Find", "cup", BoxesFinding(boxes=boxes)),
            event("Query_Actions", "door", ActionsFinding(actions=("Opened the door.",))),
            event("Filter_frames_with_act", "Opened the door.", SpanFinding(start=3, end=9)),
            event("select_answer", "?", TextFinding(text="The door.")),
        ),
        boxes=3,
    )
    assert text == (
        "I look for person opening the door: it happens from frame 3 to frame 8. "
        "I see cup at [3, 2, 30, 40] in frame 3, [5, 2, 30, 40] in frame 5, [8, 2, 30, 40] in frame 8. "
        "The actions with the door: Opened the door. I look for Opened the door: it happens from frame 3 to frame 8. "
        "So the answer is The door."
    )


def test_template_says_what_was_not_found() -> None:
    text = write(
        trace(
            event("Filter_frames_with_act", "person flying", SpanFinding(start=0, end=0)),
            event("Find", "cup", BoxesFinding(boxes=())),
            event("Query_Actions", "", ActionsFinding(actions=())),
            event("exist", "shoe", FlagFinding(flag=False)),
        ),
        boxes=3,
    )
    assert "person flying: it is not seen." in text
    assert "I do not see cup." in text
    assert "none is seen" in text
    assert "Is there shoe: no." in text


NAMES = st.sampled_from(["cup/glass/bottle", "book", "door", "person", "closet/cabinet"])
BOXES = st.builds(
    lambda frame, x, y, w, h, label: Detection(frame=frame, box=(x, y, x + w, y + h), label=label, score=0.5),
    st.integers(0, 31), *(st.floats(0, 200, allow_nan=False) for _ in range(4)), NAMES,
)  # fmt: skip


@st.composite
def findings(draw: st.DrawFn) -> Event:
    name = draw(NAMES)
    start = draw(st.integers(0, 31))
    return draw(
        st.sampled_from(
            [
                event("Filter_frames_with_act", f"person opening the {name}", SpanFinding(start=start, end=32)),
                event("trim", "", SpanFinding(start=start, end=draw(st.integers(0, 32)))),
                event("Count", name, CountFinding(count=draw(st.integers(0, 9)))),
                event("exist", name, FlagFinding(flag=draw(st.booleans()))),
                event("Find", name, BoxesFinding(
                    boxes=tuple(box.model_copy(update={"label": name}) for box in draw(st.lists(BOXES, max_size=9))))),
            ]
        )
    )  # fmt: skip


@given(st.lists(findings(), max_size=6), st.integers(1, 5))
def test_template_is_always_faithful(events: list[Event], boxes: int) -> None:
    whole = trace(*events)
    question = Question(
        question_id="q", dataset="d", split="train", video_id="v", question="?", type="T", answer="The door."
    )
    thought = Thought(question_id="q", text=write(whole, boxes), answer="The door.", writer="template")
    check = check_faithful(question, thought, whole, Check(passed=True, reason=""))
    assert check.passed, (check.reason, thought.text)
