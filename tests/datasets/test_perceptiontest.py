"""Perception Test: its multiple-choice questions, and where a video is to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError

ASKED = {
    "id": 3, "question": "Where is it?", "options": ["left", "right", "nowhere"], "answer_id": 1,
    "area": "Physics", "reasoning": "Predictive", "tag": ["occlusion"],
}  # fmt: skip


def video(*questions: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"frame_rate": 30.0, **metadata}, "mc_question": list(questions), "action_localisation": []}


def load(folder: Path, entries: Any, cuts: Any = None, **settings: Any) -> LoadedQuestions:
    path = folder / "mc_question_valid.json"
    path.write_text(json.dumps(entries))
    if cuts is not None:
        (folder / "cuts.json").write_text(json.dumps(cuts))
        settings["cuts"] = str(folder / "cuts.json")
    return read(DatasetConfig(name="perceptiontest", root=str(folder), questions=str(path), **settings))


def test_entry_becomes_questions(tmp_path: Path) -> None:
    (question,) = load(tmp_path, {"video_8": video(ASKED)}).questions
    assert (question.question_id, question.type) == ("perceptiontest_video_8_3", "Physics")
    assert (question.options, question.answer) == (("left", "right", "nowhere"), "right")
    assert (question.video_id, question.video, question.end_s) == ("video_8", "video_8.mp4", None)
    (question,) = load(tmp_path, {"video_8": video(ASKED)}, type_by="reasoning").questions
    assert question.type == "Predictive"


def test_test_split_has_neither_answers_nor_areas(tmp_path: Path) -> None:
    bare = {name: ASKED[name] for name in ("id", "question", "options")}
    (question,) = load(tmp_path, {"video_8": {"mc_question": [bare]}}).questions
    assert (question.answer, question.type) == (None, "choice")


def test_cuts_end_a_video_before_its_answer(tmp_path: Path) -> None:
    entries = {"video_8": video(ASKED), "video_9": video(ASKED)}
    first, second = load(tmp_path, entries, cuts={"video_8": 75, "video_7": 3}).questions
    assert (first.start_s, first.end_s) == (None, 2.5)
    assert second.end_s is None


def test_entries_are_skipped_and_limited(tmp_path: Path) -> None:
    twice = {**ASKED, "id": 4, "options": ["left", "left", "right"]}
    entries = {"a": video(ASKED, twice, ASKED), "b": video(ASKED), "c": video(ASKED)}
    loaded = load(tmp_path, entries, limit=2)
    assert [question.video_id for question in loaded.questions] == ["a", "b"]
    place = f"{tmp_path / 'mc_question_valid.json'}: entry 'a', question"
    assert loaded.skipped == [
        f"{place} 4: the option 'left' is there twice",
        f"{place} 3: the id 'perceptiontest_a_3' stands at {place} 3 too",
    ]


@pytest.mark.parametrize(
    ("entries", "cuts", "says"),
    [
        ({"video_8": video({**ASKED, "answer_id": 3})}, None, "entry 'video_8', question 3: the answer is option 3"),
        ({"video_8": {"metadata": {}}}, None, "entry 'video_8': mc_question: Field required"),
        ({"../8": video(ASKED)}, None, "leads outside"),
        ({"a\0b": video(ASKED)}, None, "no name of a file"),
        ({"x" * 300: video(ASKED)}, None, "longer than a name of a file"),
        ([video(ASKED)], None, "entry 1: video_name: Field required"),
        ({"video_8": video(ASKED)}, {"video_8": "soon"}, r"cuts\.json: frames\.video_8"),
        ({"video_8": video(ASKED, frame_rate=None)}, {"video_8": 3}, r"no metadata\.frame_rate"),
    ],
)
def test_malformed_file_is_refused(entries: Any, cuts: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as caught:
        load(tmp_path, entries, cuts)
    assert "\n" not in str(caught.value)
