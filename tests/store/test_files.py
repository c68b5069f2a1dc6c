"""Files that are whole or not there, and files that are appended to: torn tails, other orders, syncs."""

from __future__ import annotations

import fcntl
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from aotd.errors import UserError
from aotd.records import Program
from aotd.store.files import SYNC_S, Shard, whole_file, write_atomically
from aotd.store.stage import read_jsonl
from benchmarks.crash import Disk
from tests.store.test_stage import program


@given(lines=st.integers(0, 4), torn=st.integers(0, 200))
def test_shard_resumes_after_last_whole_line(tmp_path_factory: pytest.TempPathFactory, lines: int, torn: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "records.jsonl"
    whole = b"".join(program(n).model_dump_json().encode() + b"\n" for n in range(4))
    ends = [0, *(i + 1 for i, byte in enumerate(whole) if byte == 10)]
    cut = min(ends[lines] + torn, len(whole))
    path.write_bytes(whole[:cut])
    kept = len(read_jsonl(path, Program))
    shard = Shard(path)
    for number in range(kept, 4):
        shard.append(program(number))
    shard.close()
    assert path.read_bytes() == b"".join(
        program(n).model_dump_json(exclude_defaults=True).encode() + b"\n" for n in range(4)
    ) or [record.question_id for record in read_jsonl(path, Program)] == ["q0", "q1", "q2", "q3"]


def test_whole_file_is_atomic(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert [item.name for item in path.parent.iterdir()] == ["file.json"]


def test_whole_file_of_tensors_can_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with whole_file(path) as partial:
        save_file({"a": np.zeros(1)}, partial)
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("named", [True, False])
def test_whole_file_is_synced_before_it_is_named(tmp_path: Path, named: bool) -> None:
    path = tmp_path / "view"
    with Disk(str(tmp_path)) as disk:
        with whole_file(path, named=named) as partial:
            partial.write_bytes(b"12345")
        assert disk.synced[str(path)] == 5
        assert bool(disk.pending) is not named, "only what can be made again may lose its name"


def test_shard_syncs_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("aotd.store.files.time.monotonic", lambda: now[0])
    path = tmp_path / "lines.jsonl"
    with Disk(str(tmp_path)) as disk:
        shard = Shard(path)
        safe = []
        for _ in range(8):
            now[0] += 0.4 * SYNC_S
            shard.append(program(1))
            safe.append(disk.synced[str(path)] // (path.stat().st_size // (len(safe) + 1)))
        shard.close()
    assert safe == [0, 0, 3, 3, 3, 6, 6, 6]


def test_whole_file_sweeps_partial_files(tmp_path: Path) -> None:
    left, live = tmp_path / ".other.json.123.partial", tmp_path / ".other.json.124.partial"
    for path in (left, live):
        path.write_text("half")
    os.utime(left, (0, 0))
    write_atomically(tmp_path / "file.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [live.name, "file.json"]


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_shard_cuts_torn_tail_and_reads_only_the_end(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.store.files._PIECE", piece)
    path = tmp_path / "lines.jsonl"
    whole = b"".join(program(number).model_dump_json().encode() + b"\n" for number in range(3))
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        shard = Shard(path)
        assert path.read_bytes() == whole[: whole[:cut].rfind(b"\n") + 1]
        kept = path.stat().st_size
        assert shard.append(program(9)) == kept
        shard.close()
        assert path.read_bytes()[kept:] == program(9).model_dump_json(exclude_defaults=True).encode() + b"\n"


def test_shard_opens_large_file_by_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"x\n" * 5_000_000 + b"torn")
    tracemalloc.start()
    try:
        Shard(path).close()
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == 10_000_000


def test_shard_reorders_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    shard = Shard(path)
    begins = [shard.append(program(number)) for number in range(4)]
    shard.reorder(begins[1], [begins[3], begins[1], begins[2]])
    assert shard.append(program(4)) == 4 * begins[1]
    shard.close()
    assert [record.question_id for record in read_jsonl(path, Program)] == ["q0", "q3", "q1", "q2", "q4"]
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_shard_stays_locked_while_reordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.store.files.LOCK_S", 0.2)
    path = tmp_path / "lines.jsonl"
    shard = Shard(path)
    begins = [shard.append(program(number)) for number in range(2)]
    shard.reorder(0, begins[::-1])
    with pytest.raises(UserError, match="being written by another process"):
        Shard(path)
    shard.close()
    Shard(path).close()


def test_shard_reopens_file_replaced_while_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = tmp_path / "lines.jsonl", tmp_path / "other.jsonl"
    shard = Shard(path)
    shard.append(program(0))
    flock = fcntl.flock

    def replaced_meanwhile(out: Any, how: int) -> None:
        if other.exists():
            other.replace(path)
        flock(out, how)

    shard.close()
    other.write_bytes(path.read_bytes())
    monkeypatch.setattr("aotd.store.files.fcntl.flock", replaced_meanwhile)
    shard = Shard(path)
    shard.append(program(1))
    shard.close()
    assert [record.question_id for record in read_jsonl(path, Program)] == ["q0", "q1"]
