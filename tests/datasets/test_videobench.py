"""Video-Bench's files, in the shape of its repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import benchmark, read
from aotd.errors import UserError

MSVD = {
    "40810": {
        "vid_path": "Eval_video/MSVD/msCidKHOh74_410_418.avi",
        "choices": {"A": "handlebars", "B": "a basket", "C": "luggage", "D": "a backpack"},
        "video_id": "msCidKHOh74_410_418", "question": "what is a man riding a bike with?", "answer": "C",
    },
}  # fmt: skip
MSRVTT = {
    "214070": {
        "vid_path": "Eval_video/MSRVTT/video8781.mp4", "choices": {"A": "sing", "B": "talk"}, "video_id": 8781,
        "question": "what is old disney cartoon characters doing?", "answer": "B",
    },
}  # fmt: skip
DRIVING = {
    "918600": {
        "vid_path": "Eval_video/Driving-exam/918600.mp4", "video_id": "918600", "question": "1/36. What now?",
        "answer": "B", "choices": {"A": " Accelerate passing", "B": " Drive slowly"},
    },
}  # fmt: skip


def load(folder: Path, **files: Any) -> LoadedQuestions:
    for name, entries in files.items():
        (folder / f"{name.replace('__', '-')}_QA_new.json").write_text(json.dumps(entries))
    return read(DatasetConfig(name="videobench", root=str(folder), questions=str(folder), split="test"))


def test_questions_are_those_of_the_files(tmp_path: Path) -> None:
    loaded = load(tmp_path, MSVD=MSVD, MSRVTT=MSRVTT, Driving__exam=DRIVING)
    questions = {one.question_id: one for one in loaded.questions}
    assert list(questions) == ["videobench_MSVD_40810", "videobench_MSRVTT_214070", "videobench_Driving-exam_918600"]
    first = questions["videobench_MSVD_40810"]
    assert first.options == ("handlebars", "a basket", "luggage", "a backpack")
    assert first.answer == "luggage"
    assert first.video == "Eval_video/MSVD/msCidKHOh74_410_418.avi"
    assert questions["videobench_Driving-exam_918600"].answer == "Drive slowly"
    assert [one.type for one in questions.values()] == ["MSVD", "MSRVTT", "Driving-exam"]


def test_groups_are_the_papers_levels() -> None:
    groups = benchmark("videobench").groups
    assert [groups(kind) for kind in ("MOT", "NBA", "SQA3D", "other")] == [
        ["video-exclusive"], ["prior knowledge"], ["decision making"], []
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("video_id", "origin"),
    [
        ("MSVD/msCidKHOh74_410_418", ("msvd", "msCidKHOh74_410_418")),
        ("MSRVTT/video8781", ("msrvtt", "video8781")),
        ("ActivityNet/v_m7cHlmcFk9Y", ("activitynet", "m7cHlmcFk9Y")),
        ("TGIF/x", ("videobench", "TGIF/x")),
    ],
)
def test_videos_are_known_from_other_benchmarks(video_id: str, origin: tuple[str, str]) -> None:
    found = benchmark("videobench").origin
    assert found is not None
    assert found(video_id) == origin


def test_answer_that_is_no_choice_is_one_line(tmp_path: Path) -> None:
    wrong = {"1": {**MSVD["40810"], "answer": "E"}}
    with pytest.raises(UserError, match=r"entry '1': the answer 'E' is none of A, B, C, D"):
        load(tmp_path, MSVD=wrong)


def test_question_without_an_answer_is_asked(tmp_path: Path) -> None:
    hidden = {"1": {name: value for name, value in MSVD["40810"].items() if name != "answer"}}
    (question,) = load(tmp_path, MSVD=hidden).questions
    assert question.answer is None


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds none of Video-Bench's thirteen files"):
        load(tmp_path)
