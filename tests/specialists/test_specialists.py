"""Each architecture end to end: settings, a checkpoint on disk, a video file, and the tools that a program sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aotd.config.compose import compose
from aotd.records import ActionsFinding, BoxesFinding, CountFinding, Question, SpanFinding
from aotd.specialists.load import load_specialists
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from tests.specialists.tiny import write_checkpoint, write_univtg
from tests.video.clips import write_video

FRAMES = 6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "v.mp4")
    return folder


def opened(root: Path, *overrides: str) -> tuple[ToolSession, Clip, Any]:
    """The tools over specialists of which one is real, and the whole clip."""
    config = compose(["specialists=mock", "specialists.source=video", f"specialists.frames={FRAMES}", *overrides])
    specialists = load_specialists(config.specialists, str(root))
    question = Question(
        question_id="q", dataset="d", video_id="v", video="v.mp4", split="val", question="What?", type="x"
    )
    return ToolSession(VIDEO_TOOLS, specialists), Clip.whole(specialists.source.open(question)), specialists


@pytest.mark.parametrize("name", ["owlv2", "owlvit", "grounding_dino"])
def test_a_detector_finds_follows_and_counts(root: Path, tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(name, tmp_path / name)
    settings = [f"specialists/detection={name}", f"specialists.detection.model={folder}"]
    tools, clip, specialists = opened(root, *settings, "specialists.detection.threshold=0.05")
    boxes = tools.call("Query_Objs", (clip, "cup/glass/bottle"), {})
    assert boxes
    followed = tools.call("Find", (clip, "cup/glass/bottle"), {})
    assert followed.numbers == tuple(sorted({box.frame for box in boxes}))
    within = tools.call("Query_Objs", (followed, "door"), {})
    for box in within:
        x1, y1, x2, y2 = followed.crops[box.frame]
        assert x1 - 1 <= box.box[0] < box.box[2] <= x2 + 1
        assert y1 - 1 <= box.box[1] < box.box[3] <= y2 + 1
    assert tools.call("Count", (clip, "door"), {}) >= 0
    kinds = [type(event.finding) for event in tools.events]
    assert kinds == [BoxesFinding, BoxesFinding, BoxesFinding, CountFinding]
    assert str(folder.name) in specialists.models()["detection"]


@pytest.mark.parametrize("name", ["univtg", "similarity"])
def test_a_grounder_finds_a_moment_and_the_program_goes_on_in_it(root: Path, tmp_path: Path, name: str) -> None:
    towers = write_checkpoint("clip", tmp_path / "clip")
    if name == "univtg":
        model = write_univtg(tmp_path / "univtg", video=16 + 2, text=16)
        settings = [f"specialists.grounding.model={model}", f"specialists.grounding.clip={towers}"]
    else:
        settings = [f"specialists.grounding.model={towers}"]
    tools, clip, specialists = opened(root, f"specialists/grounding={name}", *settings)
    late = tools.call("trim", (clip, 2, None), {})
    moment = tools.call("Filter_frames_with_act", (late, "person opening the closet/cabinet"), {})
    assert moment.numbers
    assert set(moment.numbers) <= set(late.numbers)
    finding = tools.events[1].finding
    assert isinstance(finding, SpanFinding)
    assert finding.score is not None
    assert (finding.start, finding.end) == (moment.numbers[0], moment.numbers[-1] + 1)
    assert specialists.models()["grounding"].startswith(name)


def test_a_recogniser_orders_what_it_may_choose_from(root: Path, tmp_path: Path) -> None:
    folder = write_checkpoint("xclip", tmp_path / "xclip")
    tools, clip, specialists = opened(root, "specialists/action=xclip", f"specialists.action.model={folder}")
    options = ["Opened the door.", "Took the cup/glass/bottle.", "Sat on the bed."]
    assert sorted(tools.call("Query_Actions", (clip, None, options), {})) == sorted(options)
    assert len(tools.call("Query_Actions", (clip, "door"), {})) == 5
    finding = tools.events[1].finding
    assert isinstance(finding, ActionsFinding)
    assert all(name.endswith(" the door") for name in finding.actions)
    assert specialists.models()["action"].startswith("xclip xclip (")


@pytest.mark.parametrize(
    "choice",
    [
        *("detection=owlv2", "detection=owlvit", "detection=grounding_dino", "grounding=univtg"),
        *("grounding=similarity", "action=xclip"),
    ],
)
def test_each_choice_that_ships_is_a_whole_set_of_settings(choice: str) -> None:
    part, name = choice.split("=")
    settings = getattr(compose(["specialists=mock", f"specialists/{choice}"]).specialists, part)
    assert settings.name == name
    assert settings.model or name == "univtg"


def test_specialists_that_share_weights_or_a_budget_are_asked_in_turn() -> None:
    words = ["specialists=mock", "specialists/detection=owlv2", "specialists.detection.model=a/owl"]
    words += [f"specialists/{part}=video_llava" for part in ("action", "answering")]
    words += [f"specialists.{part}.model=a/llava" for part in ("action", "answering")]
    lanes = compose(words).specialists.lanes()
    assert lanes["action"] == lanes["answering"]
    assert len({lanes["detection"], lanes["grounding"], lanes["action"]}) == 3
    lanes = compose([*words, "specialists.memory_gb=4"]).specialists.lanes()
    assert lanes["detection"] == lanes["action"] == lanes["answering"] != lanes["grounding"]
    lanes = compose([*words, "specialists/answering=server"]).specialists.lanes()
    assert len(set(lanes.values())) == 4
    assert len(set(compose(["specialists=mock"]).specialists.lanes().values())) == 1
