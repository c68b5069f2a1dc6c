"""NExT-QA's CSV in both shapes, NExT-GQA's spans, and what is said about malformed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.nextqa import read
from aotd.errors import UserError
from aotd.records import EvidenceSpan

GQA = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
PLAIN = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
WHY = "why did the boy run,he was late,1,CW,he was late,for fun,to win,no idea,to play\n"


def load(folder: Path, text: str, spans: object = None, **settings: object) -> LoadedQuestions:
    (folder / "val.csv").write_text(text)
    config = DatasetConfig(name="nextqa", root=str(folder), questions=str(folder / "val.csv"))
    if spans is not None:
        (folder / "gsub.json").write_text(spans if isinstance(spans, str) else json.dumps(spans))
        config.spans = str(folder / "gsub.json")
    for name, value in settings.items():
        setattr(config, name, value)
    return read(config)


def test_question_has_its_spans(tmp_path: Path) -> None:
    spans = {"42": {"duration": 30, "location": {"1": [[1.5, 4], [7.0, 8.5]]}, "fps": 24}}
    loaded = load(tmp_path, GQA + "42,300,640,480," + WHY, spans)
    (question,) = loaded.questions
    assert (question.question_id, question.video_id, question.video) == ("42_1", "42", "42.mp4")
    assert (question.dataset, question.split, question.type) == ("nextqa", "val", "CW")
    assert question.options == ("he was late", "for fun", "to win", "no idea", "to play")
    assert question.answer == "he was late"
    assert question.evidence is not None
    assert question.evidence.spans == (EvidenceSpan(start_s=1.5, end_s=4), EvidenceSpan(start_s=7, end_s=8.5))


def test_original_file_gives_the_answer_by_number(tmp_path: Path) -> None:
    row = "42,300,640,480,how many cats are there,3,1,DC,4,2,1,0,5\n"
    (question,) = load(tmp_path, PLAIN + row).questions
    assert question.answer == "0"
    with pytest.raises(UserError, match=r"val\.csv:2: the answer must be the number"):
        load(tmp_path, PLAIN + row.replace(",3,1,DC", ",9,1,DC"))


def test_repeated_option_is_skipped(tmp_path: Path) -> None:
    twice = "42,1,1,1,what colour is it,red,2,DO,red,blue,red,green,white\n"
    loaded = load(tmp_path, GQA + "42,300,640,480," + WHY + twice)
    assert [question.question_id for question in loaded.questions] == ["42_1"]
    assert loaded.skipped == [f"{tmp_path / 'val.csv'}:3: the option 'red' is there twice"]


def test_limit_counts_videos(tmp_path: Path) -> None:
    rows = [f"{video},1,1,1," + WHY.replace(",1,CW", f",{qid},CW") for qid, video in enumerate(["a", "b", "c", "a"])]
    loaded = load(tmp_path, GQA + "".join(rows), limit=2)
    assert [question.question_id for question in loaded.questions] == ["a_0", "b_1", "a_3"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("video_id,question\n", r"val\.csv:1: .*'answer'"),
        (GQA.replace("video_id", "clip") + "42,1,1,1," + WHY, r"val\.csv:1: .*video_id"),
        (GQA + "42,300,640,480,why,x,1,CW,a,b\n", r"val\.csv:2: has not as many fields"),
        (GQA + "42,300,640,480," + WHY.replace("CW", "XX"), r"val\.csv:2: type 'XX'"),
        (GQA + "42,300,640,480," + WHY.replace("run,he was late", "run,else"), r"val\.csv:2: the answer 'else'"),
    ],
)
def test_malformed_line_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "spans", ["{", {"42": {}}, {"42": {"location": {"1": [[5, 2]]}}}, {"42": {"location": {"1": [["a"]]}}}]
)
def test_malformed_spans_are_refused(spans: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gsub\.json"):
        load(tmp_path, GQA + "42,300,640,480," + WHY, spans)


def test_missing_files_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.questions: not set"):
        read(DatasetConfig(name="nextqa"))
    (tmp_path / "val.csv").write_text(GQA + "42,300,640,480," + WHY)
    config = DatasetConfig(name="nextqa", questions=str(tmp_path / "val.csv"), spans=str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"dataset\.spans"):
        read(config)
