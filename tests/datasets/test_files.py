"""One's own questions: what is read from JSON lines and CSV, and what is said about a malformed line."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.files import read
from aotd.errors import UserError


def load(path: Path, text: str, **settings: object) -> LoadedQuestions:
    path.write_text(text, encoding="utf-8")
    config = DatasetConfig(name="files", root=str(path.parent), questions=str(path), split="test")
    for name, value in settings.items():
        setattr(config, name, value)
    loaded = read(config)
    return LoadedQuestions(list(loaded.questions), loaded.skipped)


def lines(*entries: dict[str, object]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def test_read_json_lines(tmp_path: Path) -> None:
    full = {
        "video": "kitchen/1.mp4", "question": "What did she open?", "options": ["the door", "a jar"],
        "answer": "a jar", "id": "mine", "type": "opening", "split": "train", "start_s": 1, "end_s": 2.5,
    }  # fmt: skip
    chosen, opened = load(tmp_path / "q.jsonl", lines(full, {"video": "2.mp4", "question": "Who is it?"})).questions
    assert (chosen.question_id, chosen.type, chosen.split) == ("mine", "opening", "train")
    assert (chosen.video, chosen.video_id, chosen.start_s, chosen.end_s) == ("kitchen/1.mp4", "kitchen/1.mp4", 1.0, 2.5)
    assert (chosen.options, chosen.answer) == (("the door", "a jar"), "a jar")
    assert (opened.type, opened.split, opened.options, opened.answer) == ("open", "test", (), None)


def test_csv_gives_the_questions_of_json_lines(tmp_path: Path) -> None:
    entries = [
        {"video": "1.mp4", "question": "Which, of these?", "options": ["a", "b"], "answer": "a", "start_s": 1.5},
        {"video": "1.mp4", "question": "And then?"},
    ]
    table = 'video,question,options,answer,start_s\n1.mp4,"Which, of these?",{},a,1.5\n1.mp4,And then?,,,\n'
    expected = load(tmp_path / "q.jsonl", lines(*entries)).questions
    assert load(tmp_path / "bars.csv", table.format("a | b")).questions == expected
    assert load(tmp_path / "list.csv", table.format('"[""a"", ""b""]"')).questions == expected


def test_ids_do_not_depend_on_other_lines(tmp_path: Path) -> None:
    first, second = {"video": "1.mp4", "question": "a?"}, {"video": "1.mp4", "question": "b?"}
    both = load(tmp_path / "q.jsonl", lines(first, second)).questions
    alone = load(tmp_path / "q.jsonl", lines(second)).questions
    assert both[1] == alone[0]
    assert both[0].question_id != both[1].question_id


def test_limit_counts_videos_and_checks_the_rest(tmp_path: Path) -> None:
    text = lines(*({"video": f"{n}.mp4", "question": "a?"} for n in range(3)))
    assert len(load(tmp_path / "q.jsonl", text, limit=2).questions) == 2
    with pytest.raises(UserError, match=r"q\.jsonl:4"):
        load(tmp_path / "q.jsonl", text + "{\n", limit=2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ('["video"]', "wants an object"),
        ('{"video": "1.mp4"}', "'question' is missing"),
        ('{"video": "", "question": "a?"}', "'video' is missing"),
        ('{"video": "1.mp4", "question": "a?", "choices": []}', "unknown field 'choices'; known are video, question"),
        ('{"video": "1.mp4", "question": 3}', "question must be text"),
        ('{"video": "1.mp4", "question": "a?", "options": "a | b"}', "options must be a list"),
        ('{"video": "1.mp4", "question": "a?", "options": ["a"]}', "two or more"),
        ('{"video": "1.mp4", "question": "a?", "options": ["a; b"]}', "write | in place of ';' between them"),
        ('{"video": "1.mp4", "question": "a?", "options": ["x", "y"], "answer": "B"}', "write the option's words"),
        ('{"video": "1.mp4", "question": "a?", "options": ["a", "a"]}', "two options are the same"),
        ('{"video": "1.mp4", "question": "a?", "options": ["a", "b"], "answer": "c"}', "'c' is not one of the options"),
        ('{"video": "1.mp4", "question": "a?", "start_s": "1"}', "start_s must be a number"),
        ('{"video": "1.mp4", "question": "a?", "start_s": 3, "end_s": 2}', "end_s must lie after"),
        ('{"video": "0.mp4", "question": "a?"}', "the same question as in line 1"),
    ],
)
def test_malformed_line_is_refused(line: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"q\.jsonl:2: ") as caught:
        load(tmp_path / "q.jsonl", '{"video": "0.mp4", "question": "a?"}\n' + line + "\n")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1.mp4,What, then?,a,", "as many fields"),
        ("1.mp4", "as many fields"),
        ('1.mp4,a?,"[1,",', "not a JSON list"),
        ("1.mp4,a?,\"['red', 'blue']\",", "Python writes lists so; write red | blue"),
        ("1.mp4,a?,,soon", "not a number of seconds"),
        (",a?,,", "'video' is missing"),
    ],
)
def test_malformed_row_is_refused(row: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"q\.csv:2: ") as caught:
        load(tmp_path / "q.csv", f"video,question,options,start_s\n{row}\n")
    assert says in str(caught.value)


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.questions: not set"):
        read(DatasetConfig(name="files"))
    with pytest.raises(UserError, match=r"\.jsonl"):
        load(tmp_path / "q.txt", "")
    with pytest.raises(UserError, match="unknown field 'clip'"):
        load(tmp_path / "q.csv", "clip,question\n1.mp4,a?\n")


FIRST = b'{"video": "0.mp4", "question": "a?"}\n'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"video": "1.mp4", "que', "not JSON"),
        (b'{"video": "\xff.mp4", "question": "b?"}', "not in UTF-8 (byte 0xFF"),
        (b"[" * 200_000, "too deep"),
        (b'{"video": "1.mp4", "question": "b?", "options": ' + b"[" * 200_000, "too deep"),
        (b'{"video": "1.mp4", "question": "' + b"b" * 100_000_000 + b'"}', "longer than 1 MiB"),
        (b'{"video": "1.mp4", "question": "b?", "start_s": NaN}', "finite number"),
        (b'{"video": "1.mp4", "question": "b?", "end_s": 1e999}', "finite number"),
        (b'{"video": "1.mp4", "question": "b?", "end_s": 1' + b"0" * 400 + b"}", "valid number"),
        (b'{"video": "1.mp4", "question": "b?", "end_s": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b'{"video": "1.mp4", "question": "b?", "id": "\\ud800"}', "half of a character"),
        (b'{"video": "1.mp4", "' + b"k" * 100_000 + b'": "b?"}', "unknown field"),
        (b'{"video": "1.mp4", "a\\nb\\u001b[2J": "b?"}', "unknown field"),
        (b'{"question_id": "q1", "code": "x", "author": "fixed", "attempts": 1}', "unknown field 'question_id'"),
        (FIRST.strip(), "the same question as in line 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_line_is_refused_in_one_short_line(
    line: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(FIRST + line)
    words = [
        "load",
        "dataset=files",
        f"dataset.questions={path}",
        f"dataset.root={tmp_path}",
        f"run={tmp_path / 'run'}",
    ]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert f"{path}:2: " in told
    assert says in told
    assert len(told) < 2200
    assert told.removesuffix("\n").isprintable(), "no further line, and nothing that a terminal would obey"
    assert not (tmp_path / "run").exists()


def test_long_line_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(FIRST + b'{"video": "' + b"x" * 100_000_000)
    tracemalloc.start()
    with pytest.raises(UserError, match="longer than 1 MiB"):
        list(read(DatasetConfig(name="files", questions=str(path))).questions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(b"\xef\xbb\xbf" + FIRST)
    assert len(list(read(DatasetConfig(name="files", questions=str(tmp_path / "q.jsonl"))).questions)) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b"1.mp4,\xff?,,", "not in UTF-8"),
        (b"1.mp4," + b"x" * 200_000 + b",,", "field larger"),
        (b'1.mp4,a?,"' + b"[" * 100_000 + b'",', "not a JSON list"),
        (b"1.mp4,a?,,nan", "finite number"),
        (b'1.mp4,"a"?,,', "not CSV"),
    ],
)
def test_hostile_row_is_refused(row: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(b"video,question,options,start_s\n" + row + b"\n")
    with pytest.raises(UserError, match=r"q\.csv:2: ") as caught:
        list(read(DatasetConfig(name="files", questions=str(path))).questions)
    assert says in str(caught.value)


def test_questions_are_streamed_and_not_held(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        "".join(json.dumps({"video": "1.mp4", "question": f"{n}? " + "x" * 1000}) + "\n" for n in range(2000))
    )
    questions = read(DatasetConfig(name="files", questions=str(path))).questions
    tracemalloc.start()
    try:
        first = sum(1 for _ in questions)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert first == sum(1 for _ in questions) == 2000
    assert peak < path.stat().st_size / 3
