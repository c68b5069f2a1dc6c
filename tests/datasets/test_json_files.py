"""JSON as it is published, and what is said of a file that is none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig
from aotd.datasets.files import read
from aotd.datasets.json_files import json_entries, read_json
from aotd.errors import UserError

ENTRY = {"id": "a", "text": 'commas, and "quotes" \\', "many": [1, 2.5, None]}
TEXT = json.dumps([ENTRY])


def values(path: Path, content: bytes | str, key: str = "") -> list[Any]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [value for _, value in json_entries(path, key, "this file")]


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        gzip.compress(TEXT.encode(), mtime=0),
        TEXT.replace("}", ",}"),
        TEXT.replace("]}", ",]}").replace("}]", "} ,\n ]"),
        TEXT.replace("\n", "\r\n"),
        json.dumps([ENTRY], indent=2).replace("\n]", ",\r\n]"),
        json.dumps(ENTRY) + "\n" + json.dumps(ENTRY) + "\n",
        json.dumps(ENTRY) + "\r\n\r\n" + json.dumps(ENTRY),
        json.dumps(ENTRY).replace("}", ",}") + "\n" + json.dumps(ENTRY),
        TEXT.replace("null", "NaN"),
    ],
)
def test_entries_of_a_list(content: bytes | str, tmp_path: Path) -> None:
    found = values(tmp_path / "q.json", content)
    if len(found) == 2:  # JSON lines
        found.pop()
    assert found == [ENTRY]


def test_comma_in_a_text_stays(tmp_path: Path) -> None:
    entry = {"a": "x,}", "b": 'y,]"', "c": ",\n}"}
    (found,) = values(tmp_path / "q.json", json.dumps([entry]).replace('"}]', '",},]'))
    assert found == entry


def test_object_keyed_by_id_is_a_list_with_ids(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"k1": {"q": "a?"}, "k2": {"q": "b?", "id": "own"}, "k3": "text"}))
    entries = json_entries(path, "id", "this file")
    assert [value for _, value in entries] == [{"id": "k1", "q": "a?"}, {"id": "own", "q": "b?"}, "text"]
    assert entries[1].where == f"{path}: entry 'k2'"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[{]", r"q\.json:1: not JSON \(.*column 3\); fetch it anew"),
        ('[{"a": 1},\n {"b": 2},\n {"c" 3}]', r"q\.json:3: not JSON"),
        ('{"a": 1}\n{"b": 2}\n{"c":', r"q\.json:3: not JSON"),
        ("{'a': 1}", r"q\.json:1: not JSON"),
        ("[1, 2", r"q\.json:1: not JSON"),
        ('["' + "\\" * 50_001, r"q\.json:1: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ('{"data": [1]}', r"this file is a list, this is a dict \('data'\); if the entries are those of 'data', save"),
        ("7", "this file is a list, this is a int"),
        (b'["\xff"]', r"q\.json:1: not in UTF-8 \(byte 0xFF"),
        (b"", "is empty"),
        (b"PK\x03\x04...", "is a zip archive"),
        (b"<html><body>404</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (gzip.compress(b"[1]", mtime=0)[:-2], "damaged gzip"),
    ],
)
def test_file_that_is_none_is_named_in_one_line(content: bytes | str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as caught:
        values(tmp_path / "q.json", content)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_hostile_text_takes_no_time(tmp_path: Path) -> None:
    for text in ('"\\"' * 100_000, "," * 200_000, ("," + " " * 50) * 20_000, '"' * 200_001):
        with pytest.raises(UserError, match="not JSON"):
            values(tmp_path / "q.json", "[" + text)


def test_infinity_stays_and_nan_is_none(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('{"a": NaN, "b": -Infinity}')
    assert read_json(tmp_path / "q.json") == {"a": None, "b": float("-inf")}


def test_own_questions_as_json(tmp_path: Path) -> None:
    entry = {"video": "b.mp4", "question": "What?", "options": ["a", "b"], "answer": "a"}

    def asked(name: str, content: bytes) -> list[tuple[str, str]]:
        (tmp_path / name).write_bytes(content)
        config = DatasetConfig(name="files", root=str(tmp_path), questions=str(tmp_path / name), split="test")
        return [(question.question_id, question.question) for question in read(config).questions]

    (expected,) = asked("q.jsonl", json.dumps(entry).encode())
    assert asked("q.json", json.dumps([entry]).encode()) == [expected]
    assert asked("q.json", json.dumps(entry).encode() + b"\n\n") == [expected]
    assert asked("q.jsonl.gz", gzip.compress(json.dumps(entry).encode() + b"\n", mtime=0)) == [expected]
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
        assert asked("q.jsonl", f"{json.dumps(entry)}\r\n\r\n".encode(encoding)) == [expected]
    assert asked("q.jsonl", gzip.compress(json.dumps(entry).encode(), mtime=0)) == [expected]
    assert asked("q.json", json.dumps({"mine": entry}).encode()) == [("mine", "What?")]
    with pytest.raises(UserError, match=r"q\.json: entry 2: the same question as in entry 1 "):
        asked("q.json", json.dumps([entry, entry]).encode())
    with pytest.raises(UserError, match=r"q\.json: entry 2: 'question' is missing"):
        asked("q.json", json.dumps([entry, {"video": "b.mp4"}]).encode())
