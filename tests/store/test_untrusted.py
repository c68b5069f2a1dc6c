"""A run that comes from a stranger: every file of it may be anything, and is read or refused with one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.errors import UserError
from aotd.evaluate.external import read_replies
from aotd.evaluate.training_set import loaded_in, trained_on
from aotd.llm import LLMConfig
from aotd.llm.replay import RecordedEngine
from aotd.records import Program
from aotd.specialists.captions import read_captions
from aotd.store.files import Shard
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.store.stage import Stage, read_jsonl
from aotd.store.untrusted import DEEPEST, LONGEST_LINE, read_object
from tests.video.clips import write_video

LINE = b'{"question_id":"q1","code":"x","author":"fixed","attempts":1}\n'


@pytest.fixture(autouse=True)
def nothing_is_waited_for() -> Iterator[None]:
    """A pipe that nobody writes to holds a reader for ever; here for ten seconds."""

    def late(*_: Any) -> None:
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def put_folder(path: Path) -> None:
    path.mkdir()


def put_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def put_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def put_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


NO_FILES: list[Callable[[Path], None]] = [
    put_folder, os.mkfifo, put_link_to_nothing, put_link_to_itself, put_link_to_a_device,
]  # fmt: skip


def lines_of(content: bytes) -> Callable[[Path], int]:
    return lambda path: path.write_bytes(content)


NO_RECORDS: dict[str, bytes] = {
    "another schema": b'{"question_id":"q1","steps":[]}\n',
    "a list": b"[]\n",
    "an empty line": LINE + b"\n",
    "NaN": LINE.replace(b'"attempts":1', b'"attempts":NaN'),
    "a number too long": LINE.replace(b'"attempts":1', b'"attempts":' + b"9" * 5000),
    "deep": b'{"question_id":' + b"[" * 200_000 + b"\n",
    "half of a character": LINE.replace(b"q1", b"\\ud800"),
    "not UTF-8": LINE.replace(b"q1", b"\xff\xfe"),
    "zero bytes": b"\0" * 100 + b"\n",
    "two objects": LINE[:-1] + LINE,
}


@pytest.mark.parametrize("content", NO_RECORDS.values(), ids=NO_RECORDS)
def test_read_jsonl_names_lines_that_are_no_records(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"records\.jsonl:[12]: not a Program") as caught:
        read_jsonl(path, Program)
    assert len(str(caught.value).splitlines()) == 1
    path.write_bytes(LINE + content.strip(b"\n"))
    if b"\n" not in content.strip(b"\n"):
        assert len(read_jsonl(path, Program)) == 1, "a torn line is not read"


def test_lines_refuses_overlong_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with path.open("wb") as out:
        out.truncate(LONGEST_LINE + 10)  # takes no room on most disks
    with pytest.raises(UserError, match=r"records\.jsonl:1 is longer than 64 MiB"):
        read_jsonl(path, Program)


def test_zero_bytes_in_text_survive(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(LINE.replace(b"q1", b"q\\u00001"))
    assert read_jsonl(path, Program)[0].question_id == "q\x001"


@pytest.mark.parametrize("put", NO_FILES)
@pytest.mark.parametrize("name", ["records.jsonl", "dropped.jsonl", "costs.jsonl", "manifest.json"])
def test_run_refuses_non_file_in_place_of_stage_file(put: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({"author": "fixed"}):
        pass
    path = stage.folder / name
    path.unlink(missing_ok=True)
    put(path)

    def read() -> None:
        stage.manifest()
        stage.records()
        stage.dropped()
        stage.costs()

    def write() -> None:
        with stage.open({"author": "fixed"}):
            Shard(stage.folder / "costs.jsonl").close()

    for act in (read, write):
        with pytest.raises(UserError, match=rf"{name} is no file"):
            act()


@pytest.mark.parametrize("put", NO_FILES)
def test_run_refuses_non_file_in_place_of_input(put: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    put(path)
    for read in (
        lambda: read_replies(path, {"q1"}),
        lambda: RecordedEngine(None, LLMConfig(record=str(path)), "llm"),
        lambda: read_captions(str(path)),
    ):
        with pytest.raises(UserError, match="file"):
            read()


NO_OBJECTS: dict[str, bytes] = {
    "empty": b"",
    "torn": b'{"settings": {',
    "a list": b"[]",
    "a text": b'"manifest"',
    "null": b"null",
    "not UTF-8": b'{"a": "\xff"}',
    "deep": b'{"a":' * 100_000,
    "whole and deep": b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
    "lists": b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
    "half of a character": b'{"a": "\\ud800"}',
    "a number too long": b'{"a": ' + b"9" * 5000 + b"}",
    "zero bytes": bytes(100),
}


@pytest.mark.parametrize("content", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_manifest_damaged_is_named(content: bytes, tmp_path: Path) -> None:
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({"author": "fixed"}):
        pass
    stage.manifest_path.write_bytes(content)
    for read in (
        stage.manifest,
        lambda: stage.open({"author": "fixed"}),
        lambda: trained_on(stage.folder, {}, "", loaded_in),
    ):
        with pytest.raises(UserError, match=r"manifest\.json is damaged \(it [^\n]*\): delete its folder") as caught:
            read()
        assert str(caught.value).isprintable()


def test_manifest_overlong_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as out:
        out.truncate(100 << 20)
    with pytest.raises(UserError, match="x is longer than 32 MiB"):
        read_object(tmp_path / "manifest.json", "x")


@pytest.mark.parametrize(
    "manifest",
    [
        {}, {"settings": 1}, {"settings": {}, "inputs": {}}, {"settings": {"arm": [], "student": {}}, "inputs": {}},
        {"settings": {"arm": {}, "student": "x"}, "inputs": {}}, {"settings": {"arm": {}, "student": {}}, "inputs": []},
        {"settings": {"arm": {}, "student": {"path": 5}}, "inputs": {}},
        {"settings": {"arm": {}, "student": {"path": "a\0/student"}}, "inputs": {}},
        {"settings": {"arm": {}, "student": {}, "mixture": [1]}, "inputs": {}},
        {"settings": {"arm": {}, "student": {}, "mixture": [{"run": "a\0", "root": ""}]}, "inputs": {}},
        {"settings": {"arm": {}, "student": {}, "mixture": {"run": "a"}}, "inputs": {}},
    ],
)  # fmt: skip
def test_manifest_of_arm_with_other_types_is_named(manifest: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run/distill/aotd"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="is not the manifest of an arm"):
        trained_on(folder, {}, "", loaded_in)


def test_student_begun_from_itself_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run/distill/aotd"
    folder.mkdir(parents=True)
    settings = {"arm": {"train": False}, "student": {"path": str(folder / "student")}}
    (folder / "manifest.json").write_text(json.dumps({"settings": settings, "inputs": {}}))
    with pytest.raises(UserError, match="began from itself"):
        trained_on(folder, {}, "", loaded_in)


@pytest.mark.parametrize("content", [*NO_RECORDS.values(), b'{"prompt": 1}\n'])
def test_replay_damaged_replies_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=r"replies\.jsonl:[12] is no recorded reply"):
        RecordedEngine(None, LLMConfig(record=str(tmp_path / "replies.jsonl")), "llm")


@pytest.mark.parametrize("name", [name for name in NO_RECORDS if name != "an empty line"])
def test_external_predictions_damaged_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_bytes(NO_RECORDS[name])
    with pytest.raises(UserError, match=r"replies\.jsonl:1: no reply"):
        read_replies(tmp_path / "replies.jsonl", {"q1"})


@pytest.mark.parametrize("content", [*NO_OBJECTS.values(), b'{"v": {"0": 1}}', b'{"v": []}', b'{"v": {"7": "x"}}'])
def test_captions_damaged_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "captions.json").write_bytes(content)
    with pytest.raises(UserError, match=r"captions\.json(:1)?: "):
        read_captions(str(tmp_path / "captions.json"))


@pytest.fixture
def loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run whose questions are loaded."""
    questions = tmp_path / "questions.jsonl"
    words = {"video": "a.mp4", "question": "What?", "answer": "a cup", "id": "q1"}
    questions.write_text(json.dumps(words) + "\n")
    (tmp_path / "root").mkdir()
    write_video(tmp_path / "root/a.mp4")
    run = tmp_path / "run"
    said = [f"run={run}", "dataset=files", f"dataset.root={tmp_path / 'root'}", f"dataset.questions={questions}"]
    assert main(["load", *said]) == 0, capsys.readouterr().err
    return run


@pytest.mark.parametrize("put", [*NO_FILES, *(lines_of(content) for content in (*NO_RECORDS.values(), LINE + LINE))])
@pytest.mark.parametrize("name", ["records.jsonl", "dropped.jsonl"])
def test_show_of_strangers_run_prints_or_refuses_in_one_line(
    name: str, put: Callable[[Path], Any], loaded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(ledger(Run(loaded)).places) == 1
    path = loaded / "load" / name
    path.unlink(missing_ok=True)
    put(path)
    capsys.readouterr()
    assert main(["show", str(loaded)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("aotd: ")
    assert len(told.splitlines()) == 1


def test_load_refuses_duplicate_question(loaded: Path) -> None:
    path = loaded / "load/records.jsonl"
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match="'q1' has two lines"):
        ledger(Run(loaded))
    shutil.rmtree(loaded)
