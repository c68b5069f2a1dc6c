"""CLEVRER: a question for each descriptive one, and one for each choice of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError

EVENTS = [
    {"choice_id": 0, "choice": "The red ball stops", "program": [], "answer": "correct"},
    {"choice_id": 1, "choice": "The grey ball stops", "program": [], "answer": "correct"},
    {"choice_id": 2, "choice": "The red ball leaves", "program": [], "answer": "wrong"},
]


def asked(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"question_id": number, "question_type": kind, "question": "What comes next?", "program": [], **fields}


def scene(number: int, *questions: dict[str, Any]) -> dict[str, Any]:
    return {"scene_index": number, "video_filename": f"video_{number:05d}.mp4", "questions": list(questions)}


def load(folder: Path, entries: Any, **settings: Any) -> LoadedQuestions:
    path = folder / "train.json"
    path.write_text(json.dumps(entries))
    fields = {"name": "clevrer", "root": str(folder), "questions": str(path), "split": "train", **settings}
    return read(DatasetConfig(**fields))


def test_descriptive_questions_are_open(tmp_path: Path) -> None:
    (question,) = load(tmp_path, [scene(7, asked(0, "descriptive", answer="sphere"))]).questions
    assert (question.question_id, question.type, question.split) == ("clevrer_7_0", "descriptive", "train")
    assert (question.question, question.options, question.answer) == ("What comes next?", (), "sphere")
    assert (question.video_id, question.video) == ("video_00007", "video_00007.mp4")


def test_every_choice_becomes_a_yes_no_question(tmp_path: Path) -> None:
    kinds = ("explanatory", "predictive", "counterfactual")
    entries = [scene(1, *(asked(number, kind, choices=EVENTS) for number, kind in enumerate(kinds)))]
    questions = load(tmp_path, entries).questions
    assert len(questions) == len(kinds) * len(EVENTS)
    assert [question.answer for question in questions[:3]] == ["yes", "yes", "no"]
    assert [question.question_id for question in questions[:3]] == ["clevrer_1_0_0", "clevrer_1_0_1", "clevrer_1_0_2"]
    assert {question.options for question in questions} == {("yes", "no")}
    assert [question.type for question in questions[::3]] == list(kinds)
    assert questions[2].question == 'What comes next? Is this a right answer: "The red ball leaves"?'


def test_test_split_has_no_answers(tmp_path: Path) -> None:
    bare = [{name: value for name, value in choice.items() if name != "answer"} for choice in EVENTS]
    loaded = load(tmp_path, [scene(15_000, asked(0, "descriptive"), asked(1, "predictive", choices=bare))])
    assert [question.answer for question in loaded.questions] == [None] * 4


@pytest.mark.parametrize(
    ("number", "folder"),
    [
        (9_999, "video_09000-10000"),
        (9_999, "video_train/video_09000-10000"),
        (12_001, "video_validation/video_12000-13000"),
        (12_001, "video_validation"),
        (15_000, "video_test/video_15000-16000"),
    ],
)
def test_videos_are_found_where_the_archives_put_them(number: int, folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / f"video_{number:05d}.mp4").touch()
    (question,) = load(tmp_path, [scene(number, asked(0, "descriptive", answer="2"))]).questions
    assert question.video == f"{folder}/video_{number:05d}.mp4"


def test_question_without_choices_is_skipped(tmp_path: Path) -> None:
    entries = [scene(1, asked(0, "predictive", choices=EVENTS), asked(1, "predictive", choices=[]))]
    loaded = load(tmp_path, entries)
    assert len(loaded.questions) == len(EVENTS)
    assert loaded.skipped == [f"{tmp_path / 'train.json'}: entry 1, question 1: it has no choices"]


def test_limit_counts_videos(tmp_path: Path) -> None:
    entries = [scene(n, asked(0, "descriptive", answer="1"), asked(1, "descriptive", answer="2")) for n in range(3)]
    assert len(load(tmp_path, entries, limit=2).questions) == 4


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (scene(1, asked(0, "poetic")), r"questions\.0\.question_type"),
        (scene(1, asked(0, "predictive", choices=[{**EVENTS[0], "answer": "maybe"}])), r"choices\.0\.answer"),
        ({"scene_index": 1, "questions": []}, "video_filename: Field required"),
        ({**scene(1), "video_filename": "../secret.mp4"}, "leads outside"),
    ],
)
def test_malformed_entry_is_refused(entry: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"train\.json: entry 2: .*{says}") as caught:
        load(tmp_path, [scene(0), entry])
    assert "\n" not in str(caught.value)
