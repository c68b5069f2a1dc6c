"""Video-MME: parquet and JSON say the same, letters become options, and the type is the field one asks for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow.parquet import write_table

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError

ROW = {
    "video_id": "001", "duration": "short", "domain": "Sports", "sub_category": "Chess", "videoID": "abc_-123",
    "question_id": "001-1", "task_type": "Counting Problem", "question": "How many boards are there?",
    "options": ["A. 1.", "B. 4.", "C. 2.", "D. 3."], "answer": "C",
}  # fmt: skip


def load(path: Path, rows: Any, **settings: Any) -> LoadedQuestions:
    if path.suffix == ".parquet":
        write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows))
    fields = {"name": "videomme", "root": str(path.parent), "questions": str(path), "split": "test"}
    return read(DatasetConfig(**fields, **settings))


@pytest.mark.parametrize("name", ["test.parquet", "test.json"])
def test_row_becomes_a_question(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "abc_-123.mp4").touch()
    (question,) = load(tmp_path / name, [ROW]).questions
    assert (question.question_id, question.type, question.split) == ("videomme_001-1", "Counting Problem", "test")
    assert (question.options, question.answer) == (("1.", "4.", "2.", "3."), "2.")
    assert (question.video_id, question.video) == ("abc_-123", "data/abc_-123.mp4")


def test_template_of_the_authors_is_read(tmp_path: Path) -> None:
    asked = {name: ROW[name] for name in ("question_id", "task_type", "question", "options", "answer")}
    video = {name: ROW[name] for name in ("video_id", "duration", "domain", "sub_category")}
    first, second = load(
        tmp_path / "t.json", [{**video, "questions": [asked, {**asked, "question_id": "001-2"}]}]
    ).questions
    assert (first.question_id, second.question_id) == ("videomme_001-1", "videomme_001-2")
    assert (first.video, first.answer) == ("001.mp4", "2.")


@pytest.mark.parametrize(("field", "kind"), [("duration", "short"), ("domain", "Sports"), ("sub_category", "Chess")])
def test_type_is_the_chosen_field(field: str, kind: str, tmp_path: Path) -> None:
    (question,) = load(tmp_path / "test.parquet", [ROW], type_by=field).questions
    assert question.type == kind
    with pytest.raises(UserError, match=r"type_by=colour: videomme has no such field: one of task_type, duration"):
        load(tmp_path / "test.parquet", [ROW], type_by="colour")


def test_limit_counts_videos_and_bad_row_is_skipped(tmp_path: Path) -> None:
    rows = [{**ROW, "question_id": f"{n}", "videoID": f"v{n // 2}"} for n in range(6)]
    rows[1] = {**rows[1], "options": ["A. 1.", "B. 1.", "C. 2.", "D. 3."]}
    loaded = load(tmp_path / "test.parquet", rows, limit=2)
    assert [question.question_id for question in loaded.questions] == [f"videomme_{n}" for n in (0, 2, 3)]
    assert loaded.skipped == [f"{tmp_path / 'test.parquet'}: row 2: the option '1.' is there twice"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"answer": "E"}, "row 1: answer: "),
        ({"options": "A. 1."}, "row 1: options: "),
        ({"task_type": None}, "row 1: task_type: "),
        ({"options": ["A. 1.", "B. 4."]}, "row 1: the answer is option 2, and the options are 0 to 1"),
    ],
)
def test_malformed_row_is_refused(fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"test\.parquet: {says}"):
        load(tmp_path / "test.parquet", [{**ROW, **fields}])


def test_damaged_parquet_and_other_suffix_are_refused(tmp_path: Path) -> None:
    for name, says in {"test.parquet": "not a parquet file", "test.tsv": r"must end in \.parquet or \.json"}.items():
        (tmp_path / name).write_text("index\tvideo\n")
        with pytest.raises(UserError, match=says):
            read(DatasetConfig(name="videomme", questions=str(tmp_path / name)))


def test_missing_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'aotd\[export\]'"):
        read(DatasetConfig(name="videomme", questions=str(tmp_path / "test.parquet")))
