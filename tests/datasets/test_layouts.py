"""Each reader finds its videos as the archives unpack, and its annotation in the forms that people have."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.datasets.star import situations
from aotd.errors import UserError

STAR = {
    "question_id": "Interaction_T1_13", "video_id": "6H78U", "start": 11.1, "end": 19.6, "question": "Which?",
    "answer": "The clothes.", "question_program": [], "situations": {"000390": {"actions": ["a001"]}},
    "choices": [{"choice_id": 0, "choice": "The clothes."}, {"choice_id": 1, "choice": "The box."}],
}  # fmt: skip
ANETQA = {
    "qa_id": "v_m7cHlmcFk9Y#1", "video_id": "v_m7cHlmcFk9Y", "question": "What colour?", "answer": "white",
    "taxonomy": {"question_type": "attrWhat", "question structures": "query", "question semantics": "attribute",
                 "answer types": "open"},
}  # fmt: skip
AGQA = {
    "question": "What?", "answer": "phone", "video_id": "6RAJ4", "ans_type": "open", "structural": "query",
    "semantic": "object",
}  # fmt: skip
CLEVRER = {
    "scene_index": 10000, "video_filename": "video_10000.mp4",
    "questions": [{"question_id": 0, "question_type": "descriptive", "question": "What?", "answer": "sphere"}],
}  # fmt: skip
PERCEPTION = {"mc_question": [{"id": 0, "question": "Where?", "options": ["a", "b", "c"], "answer_id": 2}]}
EGOSCHEMA = {"q_uid": "00aa-bb", "question": "What?", **{f"option {n}": f"so {n}" for n in range(5)}}
VIDEOMME = {
    "video_id": "001", "duration": "short", "domain": "Sports", "sub_category": "Chess", "questions": [
        {"question_id": "001-1", "task_type": "Counting Problem", "question": "How many?",
         "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."], "answer": "C", "response": "C."}],
}  # fmt: skip
MVBENCH = {"video": "A.mp4", "question": "What then?", "candidates": ["a nap", "a walk"], "answer": "a walk"}
EGOQA = {"video": "d250521e/split_0.mp4", "QA": [{"i": "Watch.", "q": "Where?", "a": "Here."}]}
CHAT = {"Q": "What is he doing?", "A": "He swims.", "video_name": "v_p1QGn0IzfW0"}
ACTIVITYNET = {"video_name": "1QIUV7WYKXg", "question": "is he running", "question_id": "v_1QIUV7WYKXg_3"}
NEXTQA = (
    "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n2909445186,1,1,1,why,0,6,CW,a,b,c,d,e\n"
)
STAR_CSV = (
    "video_name,question,answer_number,question_id,question_type,a0,a1,a2,a3,answer\n"
    "6H78U_11.1_19.6,Which?,0,Interaction_T1_13,Interaction_T1,The clothes.,b,c,d,The clothes.\n"
)

FILES: dict[str, tuple[str, str, Any]] = {
    # id: reader, name of its file, what it holds
    "nextqa": ("nextqa", "val.csv", NEXTQA),
    "nextqa_oe": ("nextqa_oe", "val.csv", NEXTQA.replace(",a0,a1,a2,a3,a4", "").replace(",a,b,c,d,e", "")),
    "star": ("star", "STAR_val.json", [STAR]),
    "star.csv": ("star", "STAR.csv", STAR_CSV),
    "anetqa": ("anetqa", "qa_val.json", [ANETQA]),
    "agqa": ("agqa", "train_balanced.txt", {"6RAJ4-213": AGQA}),
    "clevrer": ("clevrer", "validation.json", [CLEVRER]),
    "perceptiontest": ("perceptiontest", "mc_question_valid.json", {"video_8": PERCEPTION}),
    "egoschema": ("egoschema", "questions.json", [EGOSCHEMA]),
    "videomme": ("videomme", "output_test_template.json", [VIDEOMME]),
    "mvbench": ("mvbench", "action_sequence.json", [MVBENCH]),
    "mvbench count": ("mvbench", "moving_count.json", [{**MVBENCH, "video": "video_10000.mp4"}]),
    "mvbench perception": ("mvbench", "object_shuffle.json", [{**MVBENCH, "video": "video_10000.mp4"}]),
    "mvbench antonym": ("mvbench", "action_antonym.json", [{**MVBENCH, "video": "166583.webm"}]),
    "egoqa": ("egoqa", "train.json", [EGOQA]),
    "videochatgpt": ("videochatgpt", "generic_qa.json", [CHAT]),
    "activitynetqa": ("activitynetqa", "test_q.json", [ACTIVITYNET]),
}  # fmt: skip


def load(case: str, folder: Path, content: bytes | None = None, name: str = "", **settings: Any) -> LoadedQuestions:
    reader, own, held = FILES[case]
    path = folder / "annotation" / (name or own)
    path.parent.mkdir(exist_ok=True)
    text = held if isinstance(held, str) else json.dumps(held)
    path.write_bytes(text.encode() if content is None else content)
    if reader == "activitynetqa":
        (folder / "a.json").write_text(json.dumps([{"answer": "no", "type": 3, "question_id": "v_1QIUV7WYKXg_3"}]))
        settings["answers"] = str(folder / "a.json")
    settings = {"root": str(folder), "questions": str(path), "split": "test", **settings}
    return read(DatasetConfig(name=reader, **settings))


@pytest.mark.parametrize(
    ("case", "place"),
    [
        ("nextqa", "0101/2909445186.mp4"),
        ("nextqa", "NExTVideo/0101/2909445186.mp4"),
        ("nextqa", "videos/NExTVideo/2909445186.mp4"),
        ("nextqa_oe", "VidOR/validation/0101/2909445186.mp4"),
        ("star", "Charades_v1_480/6H78U.mp4"),
        ("star", "Charades_v1/6H78U.mp4"),
        ("star.csv", "videos/6H78U.avi"),
        ("agqa", "data/Charades_v1_480/6RAJ4.mp4"),
        ("anetqa", "v1-3/train_val/v_m7cHlmcFk9Y.mkv"),
        ("anetqa", "m7cHlmcFk9Y.mp4"),
        ("activitynetqa", "all_test/v_1QIUV7WYKXg.webm"),
        ("activitynetqa", "1QIUV7WYKXg.mp4"),
        ("videochatgpt", "Test_Videos/v_p1QGn0IzfW0.mkv"),
        ("videochatgpt", "p1QGn0IzfW0.MP4"),
        ("clevrer", "video_validation/video_10000-11000/video_10000.mp4"),
        ("clevrer", "video_10000-11000/video_10000.mp4"),
        ("clevrer", "clevrer/videos/video_10000.mkv"),
        ("perceptiontest", "valid_videos/videos/video_8.mp4"),
        ("egoschema", "videos_chunked_01/videos/00aa-bb.mp4"),
        ("egoschema", "good_clips_git/00aa-bb.MP4"),
        ("videomme", "videos_chunked_03/data/001.mp4"),
        ("videomme", "video/001.MP4"),
        ("egoqa", "ego_qa/split_videos/d250521e/split_0.mp4"),
        ("mvbench", "video/star/Charades_v1_480/A.mp4"),
        ("mvbench", "star/star/Charades_v1_480/A.mp4"),
        ("mvbench", "video/data0613/star/Charades_v1_480/A.mp4"),
        ("mvbench count", "clevrer/video_validation/video_10000-11000/video_10000.mp4"),
        ("mvbench antonym", "video/ssv2_video/166583.webm"),
        ("mvbench antonym", "ssv2_video_mp4/166583.mp4"),
    ],
)
def test_video_is_found_where_archives_unpack_it(case: str, place: str, tmp_path: Path) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    (question,) = load(case, tmp_path).questions
    assert question.video == place
    (tmp_path / place).rename(tmp_path / "other.mp4")
    (missing,) = load(case, tmp_path).questions
    assert missing.video != place
    assert missing.model_copy(update={"video": place}) == question, "where the video lies changes nothing else"


def test_one_benchmarks_video_is_not_anothers(tmp_path: Path) -> None:
    for place in ("clevrer/video_validation/video_10000.mp4", "perception/videos/video_10000.mp4"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(place)
    assert load("mvbench count", tmp_path).questions[0].video == "clevrer/video_validation/video_10000.mp4"  # type: ignore[index]
    assert load("mvbench perception", tmp_path).questions[0].video == "perception/videos/video_10000.mp4"  # type: ignore[index]
    (tmp_path / "perception" / "videos" / "video_10000.mp4").unlink()
    (question,) = load("mvbench perception", tmp_path).questions
    assert not (tmp_path / str(question.video)).exists()
    (tmp_path / "NExTVideo").mkdir()
    for place in ("Charades_v1/6H78U.mp4", "Charades_v1_480/6H78U.mp4"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text(place)
    assert [question.video for question in load("star", tmp_path).questions] == ["Charades_v1_480/6H78U.mp4"]


@pytest.mark.parametrize("case", ["nextqa", "star", "anetqa", "clevrer", "videomme", "egoqa", "perceptiontest"])
def test_two_different_videos_are_named_with_the_entry(case: str, tmp_path: Path) -> None:
    (question,) = load(case, tmp_path).questions
    name = str(question.video).removeprefix("videos/")
    for folder in ("one", "two"):
        (tmp_path / folder / name).parent.mkdir(parents=True)
        (tmp_path / folder / name).write_text(folder)
    with pytest.raises(UserError, match=rf"(entry|:2).*: one/{name} and two/{name} below .* are different files"):
        load(case, tmp_path)


@pytest.mark.parametrize("case", ["star", "star.csv"])
@pytest.mark.parametrize("name", ["6H78U_11.1_19.6.mp4", "clips/6H78U_11.1_19.6.MP4"])
def test_part_that_was_cut_is_the_whole_of_a_question(case: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    (question,) = load(case, tmp_path).questions
    assert (question.video, question.start_s, question.end_s) == (name, None, None)
    (tmp_path / "6H78U.mp4").touch()
    (question,) = load(case, tmp_path).questions
    assert (question.video, question.start_s, question.end_s) == ("6H78U.mp4", 11.1, 19.6)


def test_situations_are_timed_in_the_file_that_is_shown(tmp_path: Path) -> None:
    config = DatasetConfig(name="star", root=str(tmp_path), questions=str(tmp_path / "STAR_val.json"))
    (tmp_path / "STAR_val.json").write_text(json.dumps([STAR]))
    assert [found.time_s for found in situations(config, lambda _: 30.0)["Interaction_T1_13"]] == [13.0]
    (tmp_path / "6H78U_11.1_19.6.mp4").touch()
    (found,) = situations(config, lambda _: 30.0)["Interaction_T1_13"]
    assert found.time_s == pytest.approx(1.9)


@pytest.mark.parametrize("case", [case for case, (_, _, held) in FILES.items() if not isinstance(held, str)])
def test_json_is_read_in_every_form(case: str, tmp_path: Path) -> None:
    _, name, held = FILES[case]
    expected = list(load(case, tmp_path).questions)
    text = json.dumps(held, indent=1)
    forms = {
        name: [text.encode("utf-8-sig"), text.encode("utf-16"), text.replace("}\n", "},\n").encode(),
               text.replace('": ', '":\r\n').encode()],
        f"{name}.gz": [gzip.compress(text.encode(), mtime=0)],
    }  # fmt: skip
    if isinstance(held, list):
        forms[name].append("".join(json.dumps(entry) + "\n" for entry in held).encode())
        forms[f"{name.removesuffix('.json')}.jsonl"] = [json.dumps(held[0]).encode() + b"\n"]
    assert expected
    for given, contents in forms.items():
        for content in contents:
            assert list(load(case, tmp_path, content, given).questions) == expected, (given, content[:80])


@pytest.mark.parametrize(
    ("case", "key", "entry"), [("anetqa", "qa_id", ANETQA), ("egoschema", "q_uid", EGOSCHEMA), ("agqa", "id", AGQA)]
)
def test_entries_by_id_and_in_a_list_are_the_same(case: str, key: str, entry: dict[str, Any], tmp_path: Path) -> None:
    own = str(entry.get(key, "6RAJ4-213"))
    bare = {name: value for name, value in entry.items() if name != key}
    listed = load(case, tmp_path, json.dumps([{**bare, key: own}]).encode()).questions
    assert list(listed) == list(load(case, tmp_path, json.dumps({own: bare}).encode()).questions)


def test_videos_of_video_mme_may_be_keyed_by_their_ids(tmp_path: Path) -> None:
    expected = list(load("videomme", tmp_path).questions)
    bare = {name: value for name, value in VIDEOMME.items() if name != "video_id"}
    assert list(load("videomme", tmp_path, json.dumps({"001": bare}).encode()).questions) == expected


@pytest.mark.parametrize("case", ["nextqa", "nextqa_oe", "star.csv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: (
            ("sep=,\n" + text + ",,,\n").replace(",,,\n", "," * text.split("\n")[0].count(",") + "\n").encode()
        ),
        lambda text: "".join(f"{n}," + line for n, line in enumerate(text.splitlines(keepends=True))).encode()[1:],
        lambda text: text.replace("video", " VIDEO", 1).replace("question,", " Question,", 1).encode(),
    ],
    ids=["semicolons", "tabs", "sep", "index", "heading"],
)
def test_tables_of_benchmarks_are_read_as_spreadsheets_save_them(case: str, change: Any, tmp_path: Path) -> None:
    expected = list(load(case, tmp_path).questions)
    text = FILES[case][2]
    assert list(load(case, tmp_path, change(text)).questions) == expected


def test_ids_that_a_spreadsheet_has_changed(tmp_path: Path) -> None:
    (expected,) = load("nextqa", tmp_path).questions
    made = NEXTQA.replace("2909445186", "2909445186.0").replace(",6,CW", ",6.0,CW").replace("why,0,", "why,0.0,")
    assert list(load("nextqa", tmp_path, made.encode()).questions) == [expected]
    rounded = NEXTQA.replace("2909445186", "2.90945E+09").encode()
    with pytest.raises(UserError, match=r"val\.csv:2: a spreadsheet has rounded the video's id to '2\.90945E\+09'"):
        load("nextqa", tmp_path, rounded)


@pytest.mark.parametrize("case", ["nextqa", "nextqa_oe"])
def test_table_may_be_json(case: str, tmp_path: Path) -> None:
    expected = list(load(case, tmp_path).questions)
    heading, row = (line.split(",") for line in FILES[case][2].splitlines())
    rows = [dict(zip(heading, [int(text) if text.isdigit() else text for text in row], strict=True))]
    assert list(load(case, tmp_path, json.dumps(rows).encode(), "val.json").questions) == expected
    with pytest.raises(UserError, match=r"val\.json: entry 1: wants an object with the columns of NExT-QA's table"):
        load(case, tmp_path, b"[7]", "val.json")
    with pytest.raises(UserError, match=r"val\.json: not NExT-QA's table .*: there is no column 'question'"):
        load(case, tmp_path, b'[{"video": "1"}]', "val.json")


def test_map_of_vidor_beside_the_videos_is_no_trouble(tmp_path: Path) -> None:
    for name in ("map_vid_vidorID.json", "annotation/map_vid_vidorID.json", "0101/2909445186.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"2909445186": "0101/2909445186"}')
    assert [question.video for question in load("nextqa", tmp_path).questions] == ["0101/2909445186.mp4"]


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page, not the file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"PK\x03\x04" + b"\0" * 40, "is a zip archive"),
    ],
)
def test_what_a_download_left_is_named(case: str, content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as caught:
        load(case, tmp_path, content)
    assert FILES[case][1] in str(caught.value)


def test_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    for reader in ("star", "agqa", "clevrer", "egoschema", "videomme", "nextqa", "files"):
        with pytest.raises(UserError, match=rf"dataset\.questions: {tmp_path} is a folder: give "):
            read(DatasetConfig(name=reader, questions=str(tmp_path)))


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"start": -1.0, "end": 2.0}, "its part of the video starts at -1 s, and a video starts at 0 s"),
        ({"start": 3.0, "end": 3.0}, "its part of the video starts at 3 s and ends at 3 s: that is no part"),
        ({"start": 3.0, "end": 1.0}, "its part of the video starts at 3 s and ends at 1 s: that is no part"),
        ({"start": None, "end": 0.0}, "its part of the video starts at 0 s and ends at 0 s: that is no part"),
    ],
)
def test_part_that_is_none_is_skipped_and_named(part: dict[str, Any], says: str, tmp_path: Path) -> None:
    content = json.dumps([{**MVBENCH, **part}, MVBENCH]).encode()
    loaded = load("mvbench", tmp_path, content)
    assert len(list(loaded.questions)) == 1
    assert [line.partition("entry 1: ")[2] for line in loaded.skipped] == [says]


def test_load_tells_of_copies_other_names_and_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    for name in ("a/X.mp4", "b/X.mp4", "deep/Y.MKV"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("same")
    (root / "link").symlink_to(tmp_path)
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps({"video": f"{v}.mp4", "question": "Who?"}) + "\n" for v in "XYZ"))
    words = [
        "load",
        "dataset=files",
        f"dataset.questions={questions}",
        f"dataset.root={root}",
        f"run={tmp_path / 'run'}",
    ]
    assert main([*words, "load.dry_run=true"]) == 0
    told = capsys.readouterr().out
    assert "note: link is a link to a folder and is not followed; b/X.mp4 is taken for a copy of a/X.mp4; " in told
    assert "a/X.mp4 is taken for X.mp4; and 1 more" in told
    assert "1 of 3 videos are not in" in told
