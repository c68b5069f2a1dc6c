"""STAR's own files: the JSON, the CSV, and what is wrong with a bad one."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig
from aotd.datasets.star import OBJECTS, read
from aotd.errors import UserError

ENTRY: dict[str, Any] = {
    "question_id": "Interaction_T1_1",
    "video_id": "ABCDE",
    "start": 1.5,
    "end": 9.0,
    "question": "Which object was opened by the person?",
    "answer": "The box.",
    "question_program": [
        {"function": "Actions", "value_input": []},
        {"function": "Filter_Actions_with_Verb", "value_input": ["open"]},
    ],
    "choices": [
        {"choice_id": 0, "choice": "The box.", "choice_program": []},
        {"choice_id": 1, "choice": "The door.", "choice_program": []},
    ],
    "situations": {
        "000060": {"actions": ["a001"], "bbox": [[1, 2, 30, 40]], "bbox_labels": ["o015"], "rel_labels": []},
        "000240": {"actions": [], "bbox": [[5, 2, 30, 40]], "bbox_labels": ["o015"], "rel_labels": []},
    },
}


def config(tmp_path: Path, entries: Any, name: str = "STAR_val.json") -> DatasetConfig:
    path = tmp_path / name
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries), encoding="utf-8")
    return DatasetConfig(name="star", root=str(tmp_path), questions=str(path), split="val")


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ENTRY), **fields}


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    entries = [changed(question="Which \ud83d was \udc00opened?"), changed(question_id="Interaction_T1_2")]
    first, second = read(config(tmp_path, entries)).questions
    assert first.question == "Which ? was ?opened?"
    assert second == read(config(tmp_path, [changed(question_id="Interaction_T1_2")])).questions[0]
    whole = changed(question="Who \U0001f600?")
    assert read(config(tmp_path, [whole])).questions[0].question == "Who \U0001f600?"


def test_entry_becomes_a_question(tmp_path: Path) -> None:
    (question,) = read(config(tmp_path, [ENTRY])).questions
    assert question.question_id == "Interaction_T1_1"
    assert question.type == "Interaction_T1"
    assert (question.start_s, question.end_s) == (1.5, 9.0)
    assert question.options == ("The box.", "The door.")
    assert question.answer == "The box."
    assert question.steps[1].inputs == ("open",)
    assert question.video == "videos/ABCDE.mp4"
    # Frame numbers without a frame rate are no times, so there is no evidence.
    assert question.evidence is None


def test_boxes_within_the_spans_are_evidence_with_a_frame_rate(tmp_path: Path) -> None:
    extra = {"fps": 30, "spans": [[1.5, 3.0]], "objects": ["o015"]}
    (question,) = read(config(tmp_path, [changed(playroom=extra)])).questions
    assert question.evidence is not None
    assert [(box.label, box.time_s) for box in question.evidence.boxes] == [("box", 2.0)]
    assert (question.evidence.spans[0].start_s, question.evidence.spans[0].end_s) == (1.5, 3.0)


def test_video_beside_the_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "ABCDE.mp4").touch()
    (question,) = read(config(tmp_path, [ENTRY])).questions
    assert question.video == "ABCDE.mp4"


def test_test_split_has_no_answers(tmp_path: Path) -> None:
    entry = changed()
    del entry["answer"]
    (question,) = read(config(tmp_path, [entry])).questions
    assert question.answer is None


def test_limit_counts_videos(tmp_path: Path) -> None:
    entries = [
        changed(question_id=f"Sequence_T1_{number}", video_id=video) for number, video in enumerate("ABCAB", start=1)
    ]
    settings = config(tmp_path, entries)
    settings.limit = 2
    assert [question.video_id for question in read(settings).questions] == ["A", "B", "A", "B"]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (changed(answer="The bag."), "entry 2 .*'The bag.' is not one of the options"),
        (changed(end=1.0), "entry 2 .*starts at 1.5 s and ends at 1 s"),
        (changed(start="soon"), "entry 2 .*start: "),
        (changed(question_id="nothing"), "entry 2 .*is not <type>_<number>"),
        (changed(video_id="../../etc/passwd"), "entry 2 .*no plain name"),
        (changed(video_id=".."), "videos/...mp4|leads outside|entry 2"),
        (changed(choices=[{"choice": "The box."}, {"choice": "The box."}]), "two options are the same"),
        (changed(question=" "), "the question is empty"),
        ({"question_id": "Interaction_T1_2"}, "entry 2 .*video_id: Field required"),
        ("text", "entry 2"),
        (
            changed(
                playroom={"fps": 8, "spans": [], "objects": ["o099"]}, situations={"000001": {"bbox": [[1, 1, 2, 2]]}}
            ),
            "1 boxes, 0 labels",
        ),
        (changed(playroom={"fps": 0, "spans": [], "objects": []}), "playroom.fps"),
    ],
)
def test_malformed_entry_is_refused_with_its_place(tmp_path: Path, entry: Any, complaint: str) -> None:
    if isinstance(entry, dict) and entry.get("video_id") == "..":
        (question,) = read(config(tmp_path, [entry])).questions
        assert (tmp_path / str(question.video)).resolve().is_relative_to(tmp_path.resolve())
        return
    other = changed(question_id="Interaction_T1_9")
    with pytest.raises(UserError, match=complaint) as caught:
        read(config(tmp_path, [other, entry]))
    assert "STAR_val.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_repeated_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"entry 2 .*stands at .*entry 1.* too"):
        read(config(tmp_path, [ENTRY, ENTRY]))


@pytest.mark.parametrize(
    ("text", "complaint"), [("[{", "not JSON"), ("{}", "STAR's file is a list"), ("[" * 100_000, "not JSON")]
)
def test_file_that_is_no_list_of_questions_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read(config(tmp_path, text))


def test_missing_file_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"nowhere\.json is not there"):
        read(DatasetConfig(name="star", questions="nowhere.json"))
    with pytest.raises(UserError, match="not set"):
        read(DatasetConfig(name="star"))


HEADER = ["video_name", "question", "answer_number", "question_id", "question_type", "a0", "a1", "a2", "a3", "answer"]
LINE = ["A_B_1.5_9.0", "Which?", "1", "Sequence_T1_5", "Sequence_T1", "The a.", "The b.", "The c.", "The d.", "The b."]


def table(tmp_path: Path, *lines: list[str]) -> DatasetConfig:
    path = tmp_path / "star.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(lines)
    return DatasetConfig(name="star", root=str(tmp_path), questions=str(path))


def test_line_of_the_csv_becomes_a_question(tmp_path: Path) -> None:
    (question,) = read(table(tmp_path, HEADER, LINE)).questions
    assert (question.video_id, question.start_s, question.end_s) == ("A_B", 1.5, 9.0)
    assert question.type == "Sequence_T1"
    assert question.options == ("The a.", "The b.", "The c.", "The d.")
    assert question.answer == "The b."
    assert question.steps == ()


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([HEADER[:-1], LINE[:-1]], "no column 'answer'"),
        ([HEADER, LINE[:-2]], r"star\.csv:2: has not as many fields"),
        ([HEADER, ["A", *LINE[1:]]], r"star\.csv:2: video_name 'A' is not"),
        ([HEADER, LINE, [*LINE[:3], "Sequence_T1_6", *LINE[4:-1], "The x."]], r"star\.csv:3: .*not one of the options"),
    ],
)
def test_malformed_line_of_the_csv_is_refused(tmp_path: Path, lines: list[list[str]], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read(table(tmp_path, *lines))


def test_classes_are_those_of_star() -> None:
    assert (len(OBJECTS), OBJECTS[0], OBJECTS[10], OBJECTS[36]) == (37, "person", "cup/glass/bottle", "television")
