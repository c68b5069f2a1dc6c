from __future__ import annotations

import inspect

import pytest

from aotd.records import BoxesFinding, CountFinding, Detection, SpanFinding
from aotd.tools.video import ToolError, Tools, api_text, call, signatures, trace
from aotd.video.clip import Clip
from tests.conftest import BlankVideo, Scripted


def cup(frame: int, x: float = 1, score: float = 0.9) -> Detection:
    return Detection(frame=frame, box=(x, 2, x + 5, 9), label="cup", score=score)


def test_the_api_text_shows_every_tool_as_it_is() -> None:
    text = api_text()
    for name, signature in signatures().items():
        assert f"def {name}(" in text
        for parameter in signature.parameters:
            assert parameter in text
        first_line = (inspect.getdoc(getattr(Tools, name)) or "").splitlines()[0]
        assert first_line in text
    assert "self" not in signatures()["Find"].parameters
    compile(text, "api", "exec")


def test_frames_keep_their_numbers_through_trim_find_and_filter(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes["cup"] = [cup(1), cup(4), cup(6)]
    tools = Tools(scripted.bundle())
    late = tools.trim(Clip.whole(blank), 3, None)
    seen = tools.Find(late, "cup")
    assert seen.numbers == (4, 6)
    assert seen.crops[4] == (1, 2, 6, 9)
    assert tools.Filter_frames_with_obj(seen, "cup").numbers == (4, 6)


def test_grounding_that_finds_nothing_leaves_its_step_and_an_empty_clip(scripted: Scripted, blank: BlankVideo) -> None:
    tools = Tools(scripted.bundle())
    assert tools.Filter_frames_with_act(Clip.whole(blank), "person flying").numbers == ()
    (event,) = trace(tools)
    assert isinstance(event.finding, SpanFinding)
    assert (event.query, event.finding.start, event.finding.end) == ("person flying", 0, 0)


def test_find_keeps_the_best_box_of_a_frame(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes["cup"] = [cup(2, x=1, score=0.4), cup(2, x=20, score=0.8)]
    tools = Tools(scripted.bundle())
    tools.Find(Clip.whole(blank), "cup")
    finding = trace(tools)[0].finding
    assert isinstance(finding, BoxesFinding)
    assert [box.box[0] for box in finding.boxes] == [20]


def test_counting_takes_the_usual_number_per_frame(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes["cup"] = [cup(1), cup(1, x=20), cup(2), cup(2, x=20), cup(3)]
    tools = Tools(scripted.bundle())
    assert tools.Count(Clip.whole(blank), "cup") == 2
    assert trace(tools)[0].finding == CountFinding(count=2)


def test_compare_says_which_starts_earlier_and_an_empty_clip_never_starts(
    scripted: Scripted, blank: BlankVideo
) -> None:
    tools, whole = Tools(scripted.bundle()), Clip.whole(blank)
    assert tools.Compare(whole.span(2, 4), whole.span(5, 6)) == "first"
    assert tools.Compare(whole.span(6, 6), whole.span(5, 6)) == "second"
    assert tools.Compare(whole.span(6, 6), whole.span(0, 0)) == "same"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("Fly", [], "no tool Fly"),
        ("Find", [], "missing"),
        ("Find", ["not a clip", "cup"], "wants a clip"),
        ("_record", [], "no tool"),
        ("signatures", [], "no tool"),
    ],
)
def test_wrong_calls_are_explained(scripted: Scripted, name: str, arguments: list[object], says: str) -> None:
    with pytest.raises(ToolError, match=says):
        call(Tools(scripted.bundle()), name, arguments, {})


def test_no_words_name_nothing_whatever_a_specialist_would_say(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes[" "] = [cup(1)]
    scripted.spans[""] = (1, 3)
    tools, clip = Tools(scripted.bundle()), Clip.whole(blank)
    assert tools.Find(clip, " ").numbers == ()
    assert tools.exist(clip, "") is False
    assert tools.Filter_frames_with_act(clip, "").numbers == ()
    assert len(trace(tools)) == 3
