"""The tasks that are written for lmms-eval, and how they score; lmms-eval itself runs them in `make test-lmms`."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
import yaml

from aotd.errors import UserError
from aotd.export.conversations import plain
from aotd.export.lmms_eval import scored, shown
from aotd.prompts.student import prompt, suffix
from aotd.records import Mode, Question
from aotd.video_llms.base import ANSWER_TOKENS
from tests.export.test_job import HOSTILE, exported, lines, refused
from tests.sample_run import question, write

FORMAT = "format=lmms_eval"
OPTIONS = ["The door.", "The book."]


@pytest.fixture
def loaded(tmp_path: Path) -> Path:
    """A run that has done `load` and no more: parts, an open-ended question, one without an answer, strange text."""
    part = question("b").model_copy(update={"start_s": 0.5, "end_s": 2.0})
    opened = question("c", words=HOSTILE).model_copy(update={"options": ()})
    unknown = question("d").model_copy(update={"answer": None})
    run = tmp_path / "loaded"
    write(run, "load", Question, [question("a"), part, opened, unknown, question("t", "test")])
    return run


def test_each_split_is_a_task_with_a_row_for_each_labelled_question(loaded: Path, videos: Path) -> None:
    folder = exported(loaded, videos, FORMAT)
    assert {path.name for path in folder.iterdir()} == {
        *("train.yaml", "train.jsonl", "test.yaml", "test.jsonl", "export.json"),
    }
    rows = lines(folder / "train.jsonl")
    assert [row["question_id"] for row in rows] == ["a", "b", "c"]
    assert [row["video"] for row in rows] == [str(videos / f"{key}.mp4") for key in "abc"]
    assert [row["options"] for row in rows] == [OPTIONS, OPTIONS, []]
    assert {row["answer"] for row in rows} == {"The door."}
    folder = exported(loaded, videos, FORMAT, "split=test")
    assert {path.name for path in folder.iterdir()} == {"test.yaml", "test.jsonl", "export.json"}


def test_prompt_is_that_of_evaluate_but_for_the_last_line_break(loaded: Path, videos: Path) -> None:
    rows = {row["question_id"]: row for row in lines(exported(loaded, videos, FORMAT) / "train.jsonl")}
    assert rows["a"]["asked"] + "\n" == prompt(question("a")) + suffix(True, Mode.answer)
    asked = plain(f"Question: {HOSTILE}" + suffix(False, Mode.answer)).rstrip("\n")
    assert rows["c"]["asked"] == asked
    assert "<" not in rows["c"]["asked"]
    assert rows["c"]["asked"].endswith(suffix(False, Mode.answer).strip())


def test_task_calls_functions_of_this_package_only(loaded: Path, videos: Path) -> None:
    folder = exported(loaded, videos, FORMAT)
    text = (folder / "test.yaml").read_text()
    called = re.findall(r"!function (\S+)", text)
    assert len(called) == 2
    for name in called:
        module, _, function = name.rpartition(".")
        assert getattr(importlib.import_module(module), function) in (scored, shown)
    task = yaml.safe_load(text.replace("!function ", ""))
    assert task["task"] == "aotd_test"
    assert task["dataset_kwargs"] == {"data_files": {"test": "test.jsonl"}}
    assert task["generation_kwargs"] == {"max_new_tokens": ANSWER_TOKENS, "do_sample": False, "until": []}
    row = lines(folder / "test.jsonl")[0]
    assert {task["doc_to_text"], task["doc_to_target"]} <= set(row)
    assert {one["metric"] for one in task["metric_list"]} == {
        *scored({"options": OPTIONS, "answer": OPTIONS[0]}, ["A"]),
        *scored({"options": [], "answer": "a door"}, ["a door"]),
    }


def test_shown_gives_a_part_of_a_video_its_ends(loaded: Path, videos: Path) -> None:
    whole, part, _ = lines(exported(loaded, videos, FORMAT) / "train.jsonl")
    assert shown(whole) == [str(videos / "a.mp4")]
    assert shown(part) == [
        {"type": "video", "path": str(videos / "b.mp4"), "video_start": 0.5, "video_end": 2.0},
    ]


@pytest.mark.parametrize(
    ("reply", "strict", "lenient"),
    [("A", 1, 1), ("(A) The door.", 1, 1), ("I think it is A.", 0, 1), ("B", 0, 0), ("A or B", 0, 0), ("-", 0, 0)],
)
def test_scored_reads_a_choice_as_evaluate_does(reply: str, strict: float, lenient: float) -> None:
    row = {"options": OPTIONS, "answer": "The door."}
    assert scored(row, [reply]) == {"multiple_choice": strict, "choice_lenient": lenient}


@pytest.mark.parametrize(("reply", "right"), [("the door", 1), ("The door, I think.", 0), ("-", 0), ("", 0)])
def test_scored_compares_open_ended_answers_as_words(reply: str, right: float) -> None:
    assert scored({"options": [], "answer": "The door."}, [reply]) == {"open_ended": right}


def test_impossible_task_is_refused_in_one_line(loaded: Path, videos: Path, tmp_path: Path) -> None:
    assert "leave out export.frames" in refused(loaded, videos, FORMAT, "frames=true")
    assert "leave out export.labels" in refused(loaded, videos, FORMAT, "labels=false")
    assert "it has test, train" in refused(loaded, videos, FORMAT, "split=dev")
    (tmp_path / "empty").mkdir()
    assert "set dataset.root" in refused(loaded, tmp_path / "empty", FORMAT)
    for name, update, says in [
        ("stored", {"video": None}, "question b names no video file"),
        ("outside", {"video": "../b.mp4"}, "leads outside"),
        ("unknown", {"answer": None}, "no question has a known answer"),
    ]:
        write(tmp_path / name, "load", Question, [question("b").model_copy(update=update)])
        assert says in refused(tmp_path / name, videos, FORMAT)
    assert not list(tmp_path.glob("*/export/lmms_eval"))


def test_missing_lmms_eval_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "aotd.students.lmms_eval"
    monkeypatch.delitem(sys.modules, name, raising=False)
    for module in ("lmms_eval", "lmms_eval.api.model"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install 'aotd\[lmms\]'"):
        importlib.import_module(name)
