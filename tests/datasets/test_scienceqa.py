"""ScienceQA's questions with pictures, in the shape of its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import benchmark, read
from aotd.errors import UserError

ENTRY = {
    "question": "Which is the capital?", "choices": ["Trenton", "Albany"], "answer": 1, "hint": "",
    "image": "image.png",
    "task": "closed choice", "grade": "grade3", "subject": "social science", "topic": "geography",
    "category": "State capitals", "skill": "Identify", "lecture": "", "solution": "", "split": "test",
}  # fmt: skip
PROBLEMS = {
    "5": ENTRY,
    "6": {**ENTRY, "hint": "Look at the map.\n", "grade": "grade11", "subject": "natural science"},
    "7": {**ENTRY, "image": None},
    "8": {**ENTRY, "split": "train"},
}


def load(folder: Path, problems: Any = PROBLEMS, **settings: Any) -> LoadedQuestions:
    file = folder / "problems.json"
    file.write_text(json.dumps(problems))
    return read(DatasetConfig(name="scienceqa", root=str(folder), questions=str(file), split="test", **settings))


def test_questions_with_pictures_of_one_split(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    first, second = loaded.questions
    assert (first.question_id, first.answer, first.type) == ("scienceqa_5", "Albany", "SOC G1-6")
    assert first.video == "test/5/image.png"
    assert second.question == "Which is the capital? Context: Look at the map."
    assert second.type == "NAT TXT G7-12"
    assert second.video == "test/6/image.png"
    assert [line.rpartition(": ")[2] for line in loaded.skipped] == ["it has no picture"]


def test_classes_are_the_authors() -> None:
    assert benchmark("scienceqa").groups("NAT TXT G7-12") == ["NAT", "TXT", "G7-12"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answer": 2}, "the answer is option 2, and the options are 0 to 1"),
        ({"subject": "sport"}, "subject 'sport' is none of natural science, social science, language science"),
        ({"grade": "first"}, "grade: String should match pattern"),
    ],
)
def test_malformed_entry_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"entry '5': {says}"):
        load(tmp_path, {"5": {**ENTRY, **change}})
