from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotd.disk import Shard, write_atomically
from aotd.errors import UserError
from aotd.records import Cost, Dropped, Outcome, Program
from aotd.store import Stage, read_jsonl
from benchmarks.crash import Disk


def program(number: int) -> Program:
    return Program(question_id=f"q{number}", code="x", author="fixed", attempts=1)


def test_what_is_written_is_read_back_and_done(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({"author": "fixed"}) as out:
        out.write(program(1))
        out.write(Dropped(question_id="q2", outcome=Outcome.program_invalid, reason="none"))
    with stage.open({"author": "fixed"}) as out:
        assert out.done == {"q1", "q2"}
        out.write(program(3))
    assert [record.question_id for record in stage.records()] == ["q1", "q3"]
    assert stage.dropped()[0].outcome is Outcome.program_invalid


def cost(number: int, seconds: float) -> Cost:
    return Cost(question_id=f"q{number}", seconds=seconds)


def test_costs_stand_beside_the_records_and_change_nothing_in_them(tmp_path: Path) -> None:
    drop = Dropped(question_id="q2", outcome=Outcome.program_invalid, reason="none")
    for name, costs in (("plain", {}), ("measured", {1: cost(1, 0.5), 2: cost(2, 0.25)})):
        with Stage(tmp_path / name, "decompose", Program).open({}) as out:
            out.write(program(1), costs.get(1))
            out.write(drop, costs.get(2))
    plain, measured = (tmp_path / name / "decompose" for name in ("plain", "measured"))
    for name in ("manifest.json", "records.jsonl", "dropped.jsonl"):
        assert (plain / name).read_bytes() == (measured / name).read_bytes()
    assert not (plain / "costs.jsonl").exists()
    assert Stage(tmp_path / "plain", "decompose", Program).costs() == {}
    found = Stage(tmp_path / "measured", "decompose", Program).costs()
    assert {key: one.seconds for key, one in found.items()} == {"q1": 0.5, "q2": 0.25}


def test_the_last_cost_of_a_question_counts_and_a_torn_one_does_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({}) as out:
        out.write(program(1), cost(1, 0.5))
    path = stage.folder / "costs.jsonl"
    # Killed behind the cost of `q2`, whose record was never written, and in the middle of the next cost.
    path.write_bytes(path.read_bytes() + cost(2, 9.0).model_dump_json().encode() + b'\n{"question_id":"q3","sec')
    assert set(stage.costs()) == {"q1", "q2"}
    with stage.open({}) as out:
        assert out.done == {"q1"}
        out.write(program(2), cost(2, 0.75))
        out.write(program(3), cost(3, 0.125))
    assert {key: one.seconds for key, one in stage.costs().items()} == {"q1": 0.5, "q2": 0.75, "q3": 0.125}
    assert len(path.read_bytes().splitlines()) == 4


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({"author": "fixed"}, inputs={"load": "a"}):
        pass
    with pytest.raises(UserError, match=r"settings\.author: fixed -> llm"):
        stage.open({"author": "llm"}, inputs={"load": "a"})
    with pytest.raises(UserError, match=r"inputs\.load: a -> b"):
        stage.open({"author": "fixed"}, inputs={"load": "b"})


def test_a_verb_that_has_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `aotd decompose` first"):
        Stage(tmp_path, "decompose", Program).records()


def test_a_damaged_line_is_named_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(program(1).model_dump_json() + "\n" + json.dumps({"question_id": "q", "extra": 1}) + "\n")
    with pytest.raises(UserError, match=r"records\.jsonl:2: not a Program"):
        read_jsonl(path, Program)


@given(lines=st.integers(0, 4), torn=st.integers(0, 200))
def test_a_file_torn_anywhere_goes_on_where_its_last_whole_line_ends(
    tmp_path_factory: pytest.TempPathFactory, lines: int, torn: int
) -> None:
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


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert [item.name for item in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"question_id": "q", "code": "\xff", "author": "fixed", "attempts": 1}',
        b"\xef\xbb\xbf" + program(2).model_dump_json().encode(),
        b"[" * 200_000,
        b'{"question_id": "q", "code": "x", "author": "fixed", "attempts": NaN}',
        b'{"question_id": "q", "code": "\\ud800", "author": "fixed", "attempts": 1}',
        b'{"video": "1.mp4", "question": "of another schema"}',
        b"x" * 10_000_000,
        b"",
    ],
    ids=["bytes", "mark", "deep", "nan", "half", "foreign", "long", "empty"],
)
def test_a_hostile_line_is_one_short_line_that_names_it(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(program(1).model_dump_json().encode() + b"\n" + line + b"\n")
    with pytest.raises(UserError, match=r"records\.jsonl:2: not a Program") as caught:
        read_jsonl(path, Program)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1e999"])
def test_what_is_no_number_is_no_cost(seconds: str, tmp_path: Path) -> None:
    (tmp_path / "costs.jsonl").write_text(f'{{"question_id": "q", "seconds": {seconds}}}\n')
    with pytest.raises(UserError, match=r"costs\.jsonl:1: not a Cost .*finite"):
        read_jsonl(tmp_path / "costs.jsonl", Cost)


def test_one_process_at_a_time_appends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.disk.LOCK_S", 0.3)
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({}) as out:
        out.write(program(1))
        with pytest.raises(UserError, match=r"records\.jsonl is being written by another process: let that end"):
            stage.open({})
    with stage.open({}) as out:
        assert out.done == {program(1).question_id}


def test_what_is_closed_is_on_the_disk_and_so_are_its_name_and_its_folders(tmp_path: Path) -> None:
    with Disk(str(tmp_path)) as disk:
        with Stage(tmp_path, "evaluate/arm/answer", Program).open({}) as out:
            out.write(program(1), cost(1, 1.0))
            out.write(Dropped(question_id="x", outcome=Outcome.no_answer, reason="so"))
        write_atomically(tmp_path / "deep" / "scores.json", "{}")
        assert disk.pending == []
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {str(path): path.stat().st_size for path in files} == disk.synced
        assert len(files) == 5


def test_lines_are_on_the_disk_within_a_second_while_there_are_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("aotd.disk.time.monotonic", lambda: now[0])
    path = tmp_path / "lines.jsonl"
    with Disk(str(tmp_path)) as disk:
        shard = Shard(path)
        safe = []
        for _ in range(8):
            now[0] += 0.4
            shard.append(program(1))
            safe.append(disk.synced[str(path)] // (path.stat().st_size // (len(safe) + 1)))
        shard.close()
    assert safe == [0, 0, 3, 3, 3, 6, 6, 6]


def test_what_a_killed_process_left_of_a_file_is_removed(tmp_path: Path) -> None:
    left, live = tmp_path / ".other.json.123.partial", tmp_path / ".other.json.124.partial"
    for path in (left, live):
        path.write_text("half")
    os.utime(left, (0, 0))
    write_atomically(tmp_path / "file.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [live.name, "file.json"]
