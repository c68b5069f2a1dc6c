"""The folder that Hugging Face datasets opens, and the card in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from aotd.records import Question
from aotd.store.ledger import ledger
from aotd.store.run import Run
from tests.export.test_job import exported, refused
from tests.sample_run import program, question, sample_run, thought

datasets = pytest.importorskip("datasets")


def card(folder: Path) -> tuple[dict[str, object], str]:
    """Front matter and text."""
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_datasets_opens_the_folder_as_it_stands(run: Path, tmp_path: Path) -> None:
    folder = exported(run, tmp_path, "format=datasets")  # no video is needed
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 7, "test": 1}
    kept, unkept = found["train"][0], found["train"][1]
    assert kept["question_id"] == "a"
    assert kept["rationale"] == thought("a").text
    assert kept["program"] == program("a").code
    assert (kept["question"], kept["answer"]) == ("Which was opened?", "The door.")
    assert list(kept["options"]) == ["The door.", "The book."]
    assert (kept["video"], kept["start_s"], kept["outcome"]) == ("a.mp4", None, "kept")
    assert (unkept["rationale"], unkept["program"], unkept["outcome"]) == (None, None, "program_invalid")


def test_every_split_has_the_same_columns_even_empty_ones(run: Path, tmp_path: Path) -> None:
    found = datasets.load_dataset(str(exported(run, tmp_path, "format=datasets")), cache_dir=str(tmp_path / "cache"))
    assert found["train"].features == found["test"].features
    assert found["test"].features["start_s"].dtype == "float64"


def test_counts_of_the_card_are_those_of_the_ledger(run: Path, tmp_path: Path) -> None:
    front, text = card(exported(run, tmp_path, "format=datasets"))
    assert "license" not in front
    assert "Not stated." in text
    rows = [line.strip("| ").split(" | ") for line in text.split("## Where all 8")[1].split("##")[0].splitlines()]
    counts = {row[0]: int(row[1]) + int(row[2]) for row in rows if len(row) == 4 and row[1].isdigit()}
    assert counts == ledger(Run(run)).counts()
    assert "| train | 7 | 1 |" in text


def test_card_names_models_and_settings(run: Path, tmp_path: Path) -> None:
    made = json.loads((run / "convert" / "manifest.json").read_text())
    made |= {
        "settings": {"writer": "llm"},
        "models": {"llm": "evil`|\n# model"},
        "prompts": {"write_thought": "abc123"},
    }
    (run / "convert" / "manifest.json").write_text(json.dumps(made))
    front, text = card(exported(run, tmp_path, "format=datasets", "licence='cc-by-4.0: [x'"))
    assert front["license"] == "cc-by-4.0: [x"
    assert "| thoughts by | `llm, evil'\\| # model` |" in text
    assert "| convert | write_thought | `abc123` |" in text
    assert "eighth of 32 frames" in text


def test_missing_pyarrow_names_the_extra(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'aotd[export]'" in refused(run, tmp_path, "format=datasets")
    assert not list((run / "export").iterdir())


def test_run_of_stored_captions_is_a_dataset_without_videos(tmp_path: Path) -> None:
    asked: list[Question] = [question(key).model_copy(update={"video": None}) for key in "abcdefgt"]
    run = sample_run(tmp_path / "run", asked)
    found = datasets.load_dataset(
        str(exported(run, tmp_path, "format=datasets")), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert found["video"][:] == [None] * 8
    assert "names no video file" in refused(run, tmp_path, "format=swift")
