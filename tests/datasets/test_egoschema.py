"""EgoSchema: questions with and without a public answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError


def asked(uid: str, **fields: Any) -> dict[str, Any]:
    options = {f"option {number}": f"thing {number}" for number in range(5)}
    return {"q_uid": uid, "google_drive_id": "1x", "question": "What is c doing?", **options, **fields}


def load(folder: Path, entries: Any, answers: Any = None, **settings: Any) -> LoadedQuestions:
    (folder / "questions.json").write_text(json.dumps(entries))
    if answers is not None:
        (folder / "answers.json").write_text(json.dumps(answers))
        settings["answers"] = str(folder / "answers.json")
    questions = str(folder / "questions.json")
    return read(DatasetConfig(name="egoschema", root=str(folder), questions=questions, **settings))


def test_answers_of_the_subset_are_known(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a-1.mp4").touch()
    first, second = load(tmp_path, [asked("a-1"), asked("b-2")], {"a-1": 3}).questions
    assert (first.question_id, first.type) == ("egoschema_a-1", "choice")
    assert (first.options, first.answer) == (tuple(f"thing {number}" for number in range(5)), "thing 3")
    assert (first.video_id, first.video) == ("a-1", "videos/a-1.mp4")
    assert (second.answer, second.video) == (None, "b-2.mp4")


def test_nothing_is_labelled_without_answers(tmp_path: Path) -> None:
    assert [question.answer for question in load(tmp_path, [asked("a"), asked("b")]).questions] == [None, None]


def test_entries_are_skipped_and_limited(tmp_path: Path) -> None:
    entries = [asked("a"), asked("b", **{"option 1": "thing 0"}), asked("c")]
    loaded = load(tmp_path, entries, limit=2)
    assert [question.video_id for question in loaded.questions] == ["a"]
    assert loaded.skipped == [f"{tmp_path / 'questions.json'}: entry 2: the option 'thing 0' is there twice"]


@pytest.mark.parametrize(
    ("entries", "answers", "says"),
    [
        ([asked("a"), {"q_uid": "b", "question": "?"}], None, r"questions\.json: entry 2: option 0: Field required"),
        ([asked("a")], {"a": 5}, r"entry 1: the answer is option 5, and the options are 0 to 4"),
        ([asked("a")], {"a": "the first"}, r"answers\.json: numbers\.a"),
        ([asked("a")], {"z": 1}, r"answers 'z', which .*questions\.json does not ask"),
        ([asked("a")], [1], r"answers\.json: EgoSchema's file of answers is one JSON object"),
    ],
)
def test_malformed_file_is_refused(entries: Any, answers: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        load(tmp_path, entries, answers)
