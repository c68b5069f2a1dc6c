"""MSVD-QA and MSRVTT-QA: one shape, two ways to name a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError

ENTRIES = [
    {"answer": "play", "category_id": 11, "id": 158581, "question": "what are the men doing?", "video_id": 6513},
    {"answer": "woman", "category_id": 11, "id": 158582, "question": "Who is singing?", "video_id": 6513},
    {"answer": "two", "category_id": 3, "id": 158583, "question": "how many dogs run?", "video_id": 7010},
    {"answer": "yes", "category_id": 3, "id": 158584, "question": "is a cat there?", "video_id": 7010},
]


def load(name: str, folder: Path, entries: Any = None) -> LoadedQuestions:
    file = folder / "test_qa.json"
    file.write_text(json.dumps(ENTRIES if entries is None else entries))
    return read(DatasetConfig(name=name, root=str(folder), questions=str(file), split="test"))


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize("name", ["msvdqa", "msrvttqa"])
def test_questions_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    loaded = load(name, tmp_path)
    questions = list(loaded.questions)
    assert not loaded.skipped
    assert [(one.question_id, one.type, one.answer) for one in questions] == [
        (f"{name}_1", "what", "play"),
        (f"{name}_2", "who", "woman"),
        (f"{name}_3", "how", "two"),
        (f"{name}_4", "other", "yes"),
    ]
    assert all(one.options == () and one.split == "test" for one in questions)


@pytest.mark.parametrize("folder", ["", "TestVideo/", "archive/TrainValVideo/"])
def test_msrvtt_video_is_found_by_its_number(folder: str, tmp_path: Path) -> None:
    touch(tmp_path / f"{folder}video7010.mp4")
    questions = list(load("msrvttqa", tmp_path).questions)
    assert questions[2].video == f"{folder}video7010.mp4"
    assert questions[0].video == "video6513.mp4", "the usual name, to be reported as missing"
    assert questions[2].video_id == "video7010"


def test_msvd_clip_is_found_by_the_name_that_the_mapping_gives(tmp_path: Path) -> None:
    (tmp_path / "youtube_mapping.txt").write_text("mv89psg6zh4_33_46 vid6513\r\n-DRy7rBg0IQ_31_37 vid7010\n\n")
    touch(tmp_path / "YouTubeClips/mv89psg6zh4_33_46.avi")
    questions = list(load("msvdqa", tmp_path).questions)
    assert questions[0].video == "YouTubeClips/mv89psg6zh4_33_46.avi"
    assert [one.video_id for one in questions] == ["mv89psg6zh4_33_46"] * 2 + ["-DRy7rBg0IQ_31_37"] * 2


def test_msvd_clip_without_a_mapping_is_found_by_its_number(tmp_path: Path) -> None:
    touch(tmp_path / "vid6513.avi")
    assert next(iter(load("msvdqa", tmp_path).questions)).video == "vid6513.avi"


def test_damaged_mapping_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "youtube_mapping.txt").write_text("one two three\n")
    with pytest.raises(UserError, match=r"youtube_mapping.txt:1: a line has the name of a clip and its number"):
        load("msvdqa", tmp_path)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"question": "what?", "answer": "a"}, "entry 1: video_id: Field required"),
        (
            {"question": "what?", "answer": "a", "video_id": "../x"},
            "entry 1: video_id: Input should be a valid integer",
        ),
    ],
)
def test_malformed_entry_is_named(entry: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        load("msrvttqa", tmp_path, [entry])


def test_question_without_text_is_skipped(tmp_path: Path) -> None:
    loaded = load("msrvttqa", tmp_path, [{**ENTRIES[0], "question": " "}, ENTRIES[1]])
    assert len(list(loaded.questions)) == 1
    assert "the question is empty" in loaded.skipped[0]
