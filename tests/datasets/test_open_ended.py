"""The open-ended benchmarks (AGQA, ANetQA, EgoQA, NExT-OE, Video-ChatGPT): what they share, then each one's own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.errors import UserError
from aotd.records import Question


def agqa(path: Path, asked: Sequence[tuple[str, str, str]]) -> None:
    kinds = {"structural": "query", "semantic": "object", "ans_type": "open", "global": ["obj-rel"], "steps": 3}
    entries = {
        f"{video}-{number}": {"video_id": video, "question": question, "answer": answer, **kinds}
        for number, (video, question, answer) in enumerate(asked, start=1)
    }
    path.write_text(json.dumps(entries))


def anetqa(path: Path, asked: Sequence[tuple[str, str, str]]) -> None:
    taxonomy = {
        "question_type": "attrWhat", "question structures": "query", "question semantics": "attribute",
        "reasoning skills": ["superlative"], "answer types": "open",
    }  # fmt: skip
    entries = [
        {"qa_id": f"{video}#attrWhat#{number}", "video_id": video, "question": question, "answer": answer, "step": 5}
        | {"taxonomy": taxonomy}
        for number, (video, question, answer) in enumerate(asked, start=1)
    ]
    path.write_text(json.dumps(entries))


def egoqa(path: Path, asked: Sequence[tuple[str, str, str]]) -> None:
    entries = [{"video": f"{video}.mp4", "QA": [{"i": "Look.", "q": q, "a": answer}]} for video, q, answer in asked]
    path.write_text(json.dumps(entries))


def nextqa_oe(path: Path, asked: Sequence[tuple[str, str, str]]) -> None:
    with path.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["video", "frame_count", "width", "height", "question", "answer", "qid", "type"])
        table.writerows([v, 300, 640, 480, q, answer, n, "DB"] for n, (v, q, answer) in enumerate(asked, start=1))


def videochatgpt(path: Path, asked: Sequence[tuple[str, str, str]]) -> None:
    path.write_text(json.dumps([{"Q": q, "A": answer, "video_name": video} for video, q, answer in asked]))


@dataclass(frozen=True)
class Bench:
    write: Callable[[Path, Sequence[tuple[str, str, str]]], None]
    file: str
    type: str


BENCHES = {
    "agqa": Bench(agqa, "train_balanced.txt", "query"),
    "anetqa": Bench(anetqa, "qa_val.json", "attrWhat"),
    "egoqa": Bench(egoqa, "train.json", "open"),
    "nextqa_oe": Bench(nextqa_oe, "val.csv", "DB"),
    "videochatgpt": Bench(videochatgpt, "generic_qa.json", "generic"),
}
ASKED = [("A1", "What is held?", "a cup"), ("B2", "Is it day?", "no"), ("A1", "Is it hot?", "yes"), ("C3", "Who?", "")]


@pytest.fixture(params=BENCHES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def load(name: str, folder: Path, asked: Sequence[tuple[str, str, str]], **settings: Any) -> LoadedQuestions:
    path = folder / BENCHES[name].file
    BENCHES[name].write(path, asked)
    return reading(name, path, **settings)


def reading(name: str, path: Path, **settings: Any) -> LoadedQuestions:
    return read(DatasetConfig(name=name, root=str(path.parent), questions=str(path), split="train", **settings))


def facts(question: Question) -> tuple[Any, ...]:
    return question.question, question.answer, question.options, question.dataset, question.split, question.type


def test_read_makes_open_questions_of_entries(name: str, tmp_path: Path) -> None:
    loaded = load(name, tmp_path, ASKED[:3])
    same = ((), name, "train", BENCHES[name].type)
    assert [facts(question) for question in loaded.questions] == [
        ("What is held?", "a cup", *same),
        ("Is it day?", "no", *same),
        ("Is it hot?", "yes", *same),
    ]
    assert [question.video for question in loaded.questions] == ["A1.mp4", "B2.mp4", "A1.mp4"]
    assert len({question.video_id for question in loaded.questions}) == 2
    ids = [question.question_id for question in loaded.questions]
    assert len(set(ids)) == 3
    assert all(identity.startswith(f"{name}_") for identity in ids)
    assert load(name, tmp_path, ASKED[:3]) == loaded


def test_read_skips_entries_with_an_empty_answer(name: str, tmp_path: Path) -> None:
    loaded = load(name, tmp_path, ASKED)
    assert len(loaded.questions) == 3
    (skipped,) = loaded.skipped
    assert skipped.startswith(str(tmp_path / BENCHES[name].file))
    assert skipped.endswith(": the answer is empty")


def test_limit_counts_videos(name: str, tmp_path: Path) -> None:
    loaded = load(name, tmp_path, ASKED, limit=1)
    assert [question.answer for question in loaded.questions] == ["a cup", "yes"]
    assert loaded.skipped == []


def test_video_outside_the_root_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"leads outside") as caught:
        load(name, tmp_path, [("../../secret", "What?", "this")])
    assert BENCHES[name].file in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[{}]", '{"a": 3}', "\xff", "[" * 100_000])
def test_file_of_another_kind_is_refused(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / BENCHES[name].file
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=str(path)) as caught:
        reading(name, path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_asked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.questions: not set: give .*(json|csv|txt)"):
        read(DatasetConfig(name=name))
    with pytest.raises(UserError, match=r"dataset\.questions: .*gone is not there"):
        reading(name, tmp_path / "gone")


def test_settings_of_other_benchmarks_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"dataset\.answers: only activitynetqa and egoschema .* not {name}"):
        load(name, tmp_path, ASKED, answers="answers.json")
    with pytest.raises(UserError, match=rf"dataset\.type_by=colour: {name} has no such field"):
        load(name, tmp_path, ASKED, type_by="colour")


@pytest.mark.parametrize(("field", "kind"), [("semantic", "object"), ("ans_type", "open")])
def test_agqa_type_is_the_chosen_field(field: str, kind: str, tmp_path: Path) -> None:
    assert {question.type for question in load("agqa", tmp_path, ASKED[:2], type_by=field).questions} == {kind}


def test_agqa_ids_are_its_keys_and_name_bad_entries(tmp_path: Path) -> None:
    assert load("agqa", tmp_path, ASKED[:1]).questions[0].question_id == "agqa_A1-1"
    path = tmp_path / "train_balanced.txt"
    for entry, says in (({"question": "Who?"}, "answer: Field required"), ("Who?", "entry: ")):
        path.write_text(json.dumps({"A1-7": entry, "A1-8": {}}))
        with pytest.raises(UserError, match=rf"train_balanced\.txt: entry 'A1-7': {says}"):
            reading("agqa", path)


def test_anetqa_has_types_and_a_test_split_without_answers(tmp_path: Path) -> None:
    (question,) = load("anetqa", tmp_path, ASKED[:1], type_by="question structures").questions
    assert (question.type, question.question_id) == ("query", "anetqa_A1#attrWhat#1")
    path = tmp_path / "qa_val.json"
    (entry,) = json.loads(path.read_text())
    path.write_text(json.dumps([{field: value for field, value in entry.items() if field != "answer"}]))
    assert reading("anetqa", path).questions[0].answer is None
    (tmp_path / "A1.mkv").touch()
    assert reading("anetqa", path).questions[0].video == "A1.mkv"
    path.write_text(json.dumps([{**entry, "taxonomy": {"question_type": "attrWhat"}}]))
    with pytest.raises(UserError, match=r"entry 1: taxonomy\.question structures: Field required"):
        reading("anetqa", path)


def test_egoqa_ids_do_not_depend_on_other_clips(tmp_path: Path) -> None:
    both = load("egoqa", tmp_path, ASKED[:2]).questions
    (alone,) = load("egoqa", tmp_path, ASKED[1:2]).questions
    assert both[1] == alone
    loaded = load("egoqa", tmp_path, [*ASKED[:2], ASKED[0]])
    assert loaded.questions == both
    assert "entry 3, question 1: the id" in loaded.skipped[0]


def test_egoqa_reads_parts_where_given(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    clip = {
        "video": "d/split_0.mp4",
        "start": 2,
        "end": 7.5,
        "QA": [{"q": "Who?", "a": "she"}, {"q": "When?", "a": "1"}],
    }
    path.write_text(json.dumps([clip]))
    first, second = reading("egoqa", path).questions
    assert (first.video, first.start_s, first.end_s) == ("d/split_0.mp4", 2, 7.5)
    assert second.question == "When?"
    for wrong, says in (({"QA": [{"q": "Who?"}]}, r"QA\.0\.a: Field required"), ({"start": "soon"}, "start: ")):
        path.write_text(json.dumps([{**clip, **wrong}]))
        with pytest.raises(UserError, match=rf"train\.json: entry 1: {says}"):
            reading("egoqa", path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("video,question,answer,qid\n", r"val\.csv:1: .*'type'"),
        ("video,question,answer,qid,type\n1,why,x,2,XX\n", r"val\.csv:2: type 'XX' is not one of CH"),
        ("video,question,answer,qid,type\n1,why,x,2\n", r"val\.csv:2: has not as many fields"),
        ("video,question,answer,qid,type,a0\n1,why,0,2,CW,x\n", r"val\.csv:1: .*dataset=nextqa"),
    ],
)
def test_nextqa_oe_names_a_malformed_csv(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        reading("nextqa_oe", tmp_path / "val.csv")


def test_nextqa_oe_skips_the_second_question_of_an_id(tmp_path: Path) -> None:
    rows = "7,why,x,2,CW\n7,when,y,2,TN\n"
    (tmp_path / "val.csv").write_text("video,question,answer,qid,type\n" + rows)
    loaded = reading("nextqa_oe", tmp_path / "val.csv")
    assert [(q.question_id, q.question) for q in loaded.questions] == [("nextqa_oe_7_2", "why")]
    path = tmp_path / "val.csv"
    assert loaded.skipped == [f"{path}:3: the id 'nextqa_oe_7_2' stands at {path}:2 too"]


def test_videochatgpt_consistency_gives_two_questions(tmp_path: Path) -> None:
    entry = {"Q1": "What is it?", "Q2": "What can be seen?", "A": "A cup.", "video_name": "v_1"}
    (tmp_path / "consistency_qa.json").write_text(json.dumps([entry]))
    videochatgpt(tmp_path / "temporal_qa.json", [("v_1", "What comes first?", "The cup.")])
    (tmp_path / "v_1.mkv").touch()
    loaded = read(DatasetConfig(name="videochatgpt", root=str(tmp_path), questions=str(tmp_path)))
    assert [(q.question_id, q.type, q.question, q.answer) for q in loaded.questions] == [
        ("videochatgpt_temporal_1", "temporal", "What comes first?", "The cup."),
        ("videochatgpt_consistency_1_1", "consistency", "What is it?", "A cup."),
        ("videochatgpt_consistency_1_2", "consistency", "What can be seen?", "A cup."),
    ]
    assert {question.video for question in loaded.questions} == {"v_1.mkv"}
    (tmp_path / "consistency_qa.json").write_text(json.dumps([{**entry, "Q2": None}]))
    with pytest.raises(UserError, match=r"consistency_qa\.json: entry 1: Q2: "):
        reading("videochatgpt", tmp_path / "consistency_qa.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(UserError, match=r"other\.json is none of Video-ChatGPT's files"):
        reading("videochatgpt", tmp_path / "other.json")
