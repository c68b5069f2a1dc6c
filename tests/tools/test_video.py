from __future__ import annotations

import hashlib
import inspect

import pytest

from aotd.records import BoxesFinding, CountFinding, Detection, SpanFinding
from aotd.tools.toolbox import ToolError, ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from tests.conftest import BlankVideo, Scripted


def cup(frame: int, x: float = 1, score: float = 0.9) -> Detection:
    return Detection(frame=frame, box=(x, 2, x + 5, 9), label="cup", score=score)


def session(scripted: Scripted) -> ToolSession:
    return ToolSession(VIDEO_TOOLS, scripted.bundle())


def test_prompt_text_shows_every_tool() -> None:
    text = VIDEO_TOOLS.prompt_text()
    for tool in VIDEO_TOOLS.tools:
        assert f"def {tool.name}(" in text
        for parameter in tool.signature.parameters:
            assert parameter in text
        assert (inspect.getdoc(tool.function) or "").splitlines()[0] in text
        assert "context" not in tool.signature.parameters
    compile(text, "tools", "exec")


def test_prompt_text_is_the_one_that_runs_were_made_with() -> None:
    digest = hashlib.sha256(VIDEO_TOOLS.prompt_text().encode()).hexdigest()
    assert digest == "1fad39f53fe48b8079cd6811f46d6ab18eefd34545cff216ed9be61464f54b46"


def test_frames_keep_their_numbers_through_trim_find_and_filter(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes["cup"] = [cup(1), cup(4), cup(6)]
    tools = session(scripted)
    late = tools.call("trim", [Clip.whole(blank), 3, None], {})
    seen = tools.call("Find", [late, "cup"], {})
    assert seen.numbers == (4, 6)
    assert seen.crops[4] == (1, 2, 6, 9)
    assert tools.call("Filter_frames_with_obj", [seen, "cup"], {}).numbers == (4, 6)


def test_grounding_without_result_leaves_step_and_empty_clip(scripted: Scripted, blank: BlankVideo) -> None:
    tools = session(scripted)
    assert tools.call("Filter_frames_with_act", [Clip.whole(blank), "person flying"], {}).numbers == ()
    (event,) = tools.events
    assert isinstance(event.finding, SpanFinding)
    assert (event.query, event.finding.start, event.finding.end) == ("person flying", 0, 0)


def test_find_keeps_best_box_of_each_frame(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes["cup"] = [cup(2, x=1, score=0.4), cup(2, x=20, score=0.8)]
    tools = session(scripted)
    tools.call("Find", [Clip.whole(blank), "cup"], {})
    finding = tools.events[0].finding
    assert isinstance(finding, BoxesFinding)
    assert [box.box[0] for box in finding.boxes] == [20]


def test_count_takes_median_over_frames(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes["cup"] = [cup(1), cup(1, x=20), cup(2), cup(2, x=20), cup(3)]
    tools = session(scripted)
    assert tools.call("Count", [Clip.whole(blank), "cup"], {}) == 2
    assert tools.events[0].finding == CountFinding(count=2)


def test_compare_treats_empty_clip_as_never_starting(scripted: Scripted, blank: BlankVideo) -> None:
    tools, whole = session(scripted), Clip.whole(blank)
    assert tools.call("Compare", [whole.span(2, 4), whole.span(5, 6)], {}) == "first"
    assert tools.call("Compare", [whole.span(6, 6), whole.span(5, 6)], {}) == "second"
    assert tools.call("Compare", [whole.span(6, 6), whole.span(0, 0)], {}) == "same"


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
        session(scripted).call(name, arguments, {})


def test_empty_query_finds_nothing(scripted: Scripted, blank: BlankVideo) -> None:
    scripted.boxes[" "] = [cup(1)]
    scripted.spans[""] = (1, 3)
    tools, clip = session(scripted), Clip.whole(blank)
    assert tools.call("Find", [clip, " "], {}).numbers == ()
    assert tools.call("exist", [clip, ""], {}) is False
    assert tools.call("Filter_frames_with_act", [clip, ""], {}).numbers == ()
    assert len(tools.events) == 3
