"""ActivityNet-QA: questions and answers from two files, and types by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError

ASKED = {"video_name": "a_B-1", "question": "is it raining", "question_id": "v_a_B-1_1"}
TOLD = {"answer": "no", "type": 3, "question_id": "v_a_B-1_1"}


def load(folder: Path, asked: Any, told: Any, **settings: Any) -> LoadedQuestions:
    for name, entries in {"q.json": asked, "a.json": told}.items():
        (folder / name).write_text(json.dumps(entries))
    files = {"questions": str(folder / "q.json"), "answers": str(folder / "a.json")}
    return read(DatasetConfig(name="activitynetqa", root=str(folder), split="test", **files, **settings))


def test_answer_is_found_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "v_a_B-1.mkv").touch()
    other = {"answer": "two", "type": 7, "question_id": "v_a_B-1_2"}
    asked = [ASKED, {**ASKED, "question": "how many dogs are there", "question_id": "v_a_B-1_2"}]
    first, second = load(tmp_path, asked, [other, TOLD]).questions
    assert (first.question_id, first.question) == ("activitynetqa_v_a_B-1_1", "is it raining")
    assert (first.type, first.answer, first.options) == ("Yes/No", "no", ())
    assert (first.video_id, first.video) == ("a_B-1", "v_a_B-1.mkv")
    assert (second.type, second.answer) == ("Number", "two")


def test_entries_are_skipped_and_limited(tmp_path: Path) -> None:
    asked = [{**ASKED, "video_name": name, "question_id": f"v_{name}_1"} for name in "abc"]
    told = [{**TOLD, "question_id": f"v_{name}_1"} for name in "ac"]
    loaded = load(tmp_path, asked, told, limit=2)
    assert [question.video_id for question in loaded.questions] == ["a"]
    assert loaded.skipped == [f"{tmp_path / 'q.json'}: entry 2: {tmp_path / 'a.json'} has no answer to 'v_b_1'"]


@pytest.mark.parametrize(
    ("asked", "told", "says"),
    [
        ([{"question": "why"}], [TOLD], r"q\.json: entry 1: video_name: Field required"),
        ([ASKED], [TOLD, {**TOLD, "type": 9}], r"a\.json: entry 2: type: "),
        ([ASKED], {"v_a_B-1_1": "no"}, r"a\.json: entry 1: question_id: Field required"),
    ],
)
def test_malformed_file_is_refused(asked: Any, told: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        load(tmp_path, asked, told)


def test_missing_file_of_answers_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps([ASKED]))
    with pytest.raises(UserError, match=r"dataset\.answers: not set: give .*test_a\.json"):
        read(DatasetConfig(name="activitynetqa", questions=str(tmp_path / "q.json")))
