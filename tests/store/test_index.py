"""One question is found by the index beside the lines, and the index is never believed without its line."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotd.errors import UserError
from aotd.records import Dropped, Outcome, Program
from aotd.store import stage as stages
from aotd.store.index import entries, index_path, offsets
from aotd.store.run import Run
from aotd.store.stage import Stage

KEYS = [f"q{number}" for number in range(50)]


def program(key: str, code: str = "pass") -> Program:
    return Program(question_id=key, code=code, author="fixed", attempts=1)


def written(folder: Path, keys: Iterable[str] = KEYS) -> Stage[Program]:
    stage = Run(folder).programs
    with stage.open({}) as out:
        for key in keys:
            out.write(program(key, f"x = {key!r}"))
    return stage


def scanned(stage: Stage[Program]) -> bytes:
    """The index that the lines call for."""
    begins, at = [], 0
    for key, line in stage.keyed_lines():
        begins.append((key, at))
        at += len(line)
    return entries(begins)


def index(stage: Stage[Program]) -> Path:
    return index_path(stage.records_path)


@pytest.fixture(autouse=True)
def _nothing_in_memory() -> None:
    stages._made_index.cache_clear()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), unique=True, max_size=20))
def test_find_returns_each_record(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> None:
    stage = written(tmp_path_factory.mktemp("run"), keys)
    assert index(stage).read_bytes() == scanned(stage)
    assert [stage.find(key) for key in keys] == stage.records()
    assert stage.find("".join(keys) + "?") is None


def test_find_reads_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = written(tmp_path)
    monkeypatch.setattr(stages, "_keyed", lambda *_: pytest.fail("all lines were gone through"))
    assert stage.find("q7") == program("q7", "x = 'q7'")


def test_find_before_the_verb_has_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="decompose is not there"):
        Run(tmp_path).programs.find("q1")


def test_find_of_a_dropped_question_is_none(tmp_path: Path) -> None:
    stage = written(tmp_path)
    with stage.open({}) as out:
        out.write(Dropped(question_id="x", outcome=Outcome.program_invalid, reason="so"))
    assert stage.find("x") is None


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "missing": lambda good: b"",
    "short": lambda good: good[: len(good) // 2],
    "torn": lambda good: good[:-5],
    "too long": lambda good: good * 500,
    "noise": lambda good: bytes(range(256)) * 3,
    "zeroes": lambda good: bytes(len(good)),
    "shifted": lambda good: good[16:] + good[:16],
    "offsets beyond the file": lambda good: b"".join(
        good[at : at + 8] + struct.pack("<Q", 2**64 - 1) for at in range(0, len(good), 16)
    ),
    "offsets into lines": lambda good: b"".join(
        good[at : at + 8] + struct.pack("<Q", 3) for at in range(0, len(good), 16)
    ),
    "offsets of other lines": lambda good: b"".join(
        good[at : at + 8] + good[(at + 24) % len(good) : (at + 24) % len(good) + 8] for at in range(0, len(good), 16)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("key", ["q0", "q31", "q49", "none"])
def test_damaged_index_is_rebuilt(damage: Callable[[bytes], bytes], key: str, tmp_path: Path) -> None:
    stage = written(tmp_path)
    good = index(stage).read_bytes()
    index(stage).write_bytes(damage(good))
    assert stage.find(key) == (program(key, f"x = {key!r}") if key in KEYS else None)
    for one in KEYS:
        assert stage.find(one) == program(one, f"x = {one!r}")
    assert stage.find("none") is None
    assert index(stage).read_bytes() == good


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_index_is_rebuilt_by_the_writer(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    stage = written(tmp_path)
    index(stage).write_bytes(damage(index(stage).read_bytes()))
    with stage.open({}) as out:
        out.write(program("more"))
    assert index(stage).read_bytes() == scanned(stage)


def test_stage_without_an_index_gets_one(tmp_path: Path) -> None:
    stage = written(tmp_path)
    index(stage).unlink()  # a run of an older version
    assert stage.find("q3") is not None
    assert index(stage).read_bytes() == scanned(stage)


def test_kill_between_line_and_entry_is_mended(tmp_path: Path) -> None:
    stage = written(tmp_path)
    with stage.records_path.open("ab") as lines:
        lines.write(program("late").model_dump_json().encode() + b"\n")
    assert stage.find("late") == program("late")
    with stage.records_path.open("ab") as lines:
        lines.write(program("later").model_dump_json().encode() + b'\n{"question_id":"to')
    with stage.open({}) as out:
        out.write(program("last"))
    assert index(stage).read_bytes() == scanned(stage)
    assert [stage.find(key) for key in ("late", "later", "last", "to")] == [
        *map(program, ("late", "later", "last")),
        None,
    ]


def test_lines_of_another_run_are_found_by_their_own_index(tmp_path: Path) -> None:
    stage, other = written(tmp_path / "a"), written(tmp_path / "b", reversed(KEYS))
    index(stage).write_bytes(index(other).read_bytes())
    assert stage.find("q1") == program("q1", "x = 'q1'")


def test_sorted_lines_are_found(tmp_path: Path) -> None:
    stage = Run(tmp_path).programs
    with stage.open({}) as out:
        for key in reversed(KEYS):
            out.write(program(key))
        out.sort(KEYS)
        out.write(program("last"))
    assert list(stage.ids()) == [*KEYS, "last"]
    assert index(stage).read_bytes() == scanned(stage)


def test_folder_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = written(tmp_path)
    index(stage).unlink()

    def refuse(*_: object) -> None:
        raise UserError("read-only")

    monkeypatch.setattr(stages, "write_index", refuse)
    assert [stage.find(key) for key in ("q1", "none")] == [program("q1", "x = 'q1'"), None]
    assert not index(stage).exists()
    monkeypatch.setattr(stages, "_keyed", lambda *_: pytest.fail("the index is not held in memory"))
    assert stage.find("q2") is not None


def test_pipe_in_the_place_of_the_index_is_refused(tmp_path: Path) -> None:
    stage = written(tmp_path)
    index(stage).unlink()
    os.mkfifo(index(stage))
    with pytest.raises(UserError, match=r"records\.index is no file"):
        stage.find("q1")


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("aotd.store.index._hash", lambda _: b"samehash")
    stage = written(tmp_path)
    assert list(offsets(index(stage).read_bytes(), "any"))[:2] == [0, len(next(stage.keyed_lines())[1])]
    assert [stage.find(key) for key in KEYS] == stage.records()


def test_few_records_are_looked_up_and_many_are_scanned(tmp_path: Path) -> None:
    stage = written(tmp_path, [f"q{number}" for number in range(200)])
    for wanted in (["q9", "q3", "none"], [f"q{number}" for number in range(150, 50, -1)]):
        found = stage.records_of(wanted)
        assert list(found) == sorted(set(wanted) - {"none"}, key=lambda key: int(key[1:]))
        assert all(record.question_id == key for key, record in found.items())


@pytest.mark.parametrize("torn", [b"\0", b"\0" * 40])
def test_index_that_outlived_all_lines_is_made_again(tmp_path: Path, torn: bytes) -> None:
    stage = written(tmp_path, [])
    index(stage).write_bytes(torn)  # a power cut took the lines, and of their entries not all
    with stage.open({}) as out:
        for key in KEYS:
            out.write(program(key))
    assert index(stage).read_bytes() == scanned(stage)
