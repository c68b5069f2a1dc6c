"""The shuffled-video control: which video each question is moved to, and how the replies are scored."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.evaluate.compare import ArmPredictions
from aotd.evaluate.shuffled import shuffled_scores, with_other_videos
from aotd.records import Mode, Prediction, Question


def question(key: str, video_id: str, kind: str = "T", **more: Any) -> Question:
    fields = {"video": f"{video_id}.mp4", "start_s": 1.0, "end_s": 2.0, "options": ("a", "b"), "answer": "a", **more}
    return Question(
        question_id=key, dataset="d", split="test", video_id=video_id, question=f"{key}?", type=kind, **fields
    )


QUESTIONS = [
    question(f"{video}{kind}{number}", video, kind)
    for video in "uvwxyz"
    for kind in "ST"
    for number in range(2)
    if (video, kind) != ("z", "S")
]


@pytest.mark.parametrize("seed", range(5))
def test_other_videos_are_a_derangement_of_each_type(seed: int) -> None:
    moved = with_other_videos(QUESTIONS, seed)
    assert moved == with_other_videos(QUESTIONS, seed)
    of_type: dict[str, dict[str, str]] = {}
    for own, other in zip(QUESTIONS, moved, strict=True):
        assert other.video_id != own.video_id
        seen = {name: getattr(other, name) for name in ("video_id", "video", "start_s", "end_s")}
        assert own.model_copy(update=seen) == other, "nothing else has changed"
        assert other.video == f"{other.video_id}.mp4"
        assert of_type.setdefault(own.type, {}).setdefault(own.video_id, other.video_id) == other.video_id
    for videos in of_type.values():
        assert set(videos) == set(videos.values()), "each takes the place of one other that has the type"


def test_other_videos_differ_by_seed() -> None:
    assert len({tuple(one.video_id for one in with_other_videos(QUESTIONS, seed)) for seed in range(8)}) > 4


def test_question_of_a_type_with_one_video_gets_any_other() -> None:
    shown = Counter(
        with_other_videos([*QUESTIONS, question("r", "u", "rare")], seed)[-1].video_id for seed in range(40)
    )
    assert set(shown) == set("vwxyz")


def test_other_video_has_another_file() -> None:
    parts = [question("a", "one", video="long.mp4"), question("b", "two", video="long.mp4"), question("c", "three")]
    shown = [one.video for one in with_other_videos(parts, 0)]
    assert shown[:2] == ["three.mp4"] * 2
    assert shown[2] == "long.mp4"
    with pytest.raises(UserError, match="all questions are about one video, and there is no other"):
        with_other_videos(parts[:2], 0)


def reply(key: str, correct: bool, mode: Mode = Mode.answer, **more: float | None) -> Prediction:
    return Prediction.model_validate(
        {"question_id": key, "arm": "x", "mode": mode, "text": "a", "parsed": "a", "correct": correct, **more}
    )


def test_shuffled_scores_are_paired_by_question() -> None:
    asked = [question(key, key) for key in "abcde"]
    asked[3] = asked[3].model_copy(update={"options": ()})
    rationale = Mode.rationale
    own = ArmPredictions(
        [reply(key, True) for key in "abcd"],
        [reply("a", True, rationale, temporal_iou=0.5), reply("b", True, rationale, temporal_iou=0.75)],
    )
    other = ArmPredictions(
        [reply("a", True), reply("b", False), reply("d", True)],  # to `c` it said nothing
        [reply("a", False, rationale, temporal_iou=0.25), reply("b", True, rationale)],
    )
    found = shuffled_scores(asked, own, other, {"e"}, 200, 0)
    assert found.multiple_choice is not None
    assert found.multiple_choice.gain is not None
    assert (found.multiple_choice.other.mean, found.multiple_choice.other.n) == (1 / 3, 3)
    assert (found.multiple_choice.gain.mean, found.multiple_choice.gain.n) == (2 / 3, 3)
    assert found.open_ended is not None
    assert found.open_ended.gain is not None
    assert found.open_ended.gain.mean == 0
    assert found.rationale_accuracy is not None
    assert found.rationale_accuracy.gain is not None
    assert (found.rationale_accuracy.other.mean, found.rationale_accuracy.gain.mean) == (1 / 4, 1 / 4)
    assert found.temporal_iou is not None
    assert found.temporal_iou.gain is not None
    assert (found.temporal_iou.other.mean, found.temporal_iou.gain.mean, found.temporal_iou.gain.n) == (0.25, 0.25, 1)
    assert found.spatial_iou is None
