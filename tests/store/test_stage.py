from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotd.errors import UserError
from aotd.records import Cost, Dropped, Outcome, Program, Record, Trace
from aotd.store.files import write_atomically
from aotd.store.stage import Stage, StageEntry, read_jsonl
from benchmarks.crash import Disk, broken, full


def program(number: int) -> Program:
    return Program(question_id=f"q{number}", code="x", author="fixed", attempts=1)


def test_stage_reads_back_what_is_written(tmp_path: Path) -> None:
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


def test_stage_keeps_costs_beside_records(tmp_path: Path) -> None:
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


def test_stage_entry_equals_record(tmp_path: Path) -> None:
    drop = Dropped(question_id="q2", outcome=Outcome.program_invalid, reason="none")
    here, elsewhere = (Stage(tmp_path / name, "decompose", Program) for name in ("here", "elsewhere"))
    with here.open({}) as out:
        places = [out.write(program(1), cost(1, 0.5)), out.write(drop), out.write(program(3))]
    with elsewhere.open({}) as out:
        entries = [StageEntry.of(program(1), cost(1, 0.5)), StageEntry.of(drop, None), StageEntry.of(program(3), None)]
        assert [out.add(entry) for entry in entries] == places
        assert out.done == {"q1", "q2", "q3"}
    for name in ("records.jsonl", "dropped.jsonl", "costs.jsonl"):
        assert (here.folder / name).read_bytes() == (elsewhere.folder / name).read_bytes()


def test_stage_counts_last_whole_cost(tmp_path: Path) -> None:
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


def test_stage_refuses_other_settings(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({"author": "fixed"}, inputs={"load": "a"}):
        pass
    with pytest.raises(UserError, match=r"settings\.author: fixed -> llm"):
        stage.open({"author": "llm"}, inputs={"load": "a"})
    with pytest.raises(UserError, match=r"inputs\.load: a -> b"):
        stage.open({"author": "fixed"}, inputs={"load": "b"})


def test_stage_names_verb_not_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `aotd decompose` first"):
        Stage(tmp_path, "decompose", Program).records()


def test_read_jsonl_names_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(program(1).model_dump_json() + "\n" + json.dumps({"question_id": "q", "extra": 1}) + "\n")
    with pytest.raises(UserError, match=r"records\.jsonl:2: not a Program"):
        read_jsonl(path, Program)


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
def test_read_jsonl_hostile_line_is_one_short_error(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(program(1).model_dump_json().encode() + b"\n" + line + b"\n")
    with pytest.raises(UserError, match=r"records\.jsonl:2: not a Program") as caught:
        read_jsonl(path, Program)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1e999"])
def test_cost_refuses_non_numbers(seconds: str, tmp_path: Path) -> None:
    (tmp_path / "costs.jsonl").write_text(f'{{"question_id": "q", "seconds": {seconds}}}\n')
    with pytest.raises(UserError, match=r"costs\.jsonl:1: not a Cost .*finite"):
        read_jsonl(tmp_path / "costs.jsonl", Cost)


def test_stage_locks_out_second_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.store.files.LOCK_S", 0.3)
    stage = Stage(tmp_path, "decompose", Program)
    with stage.open({}) as out:
        out.write(program(1))
        with pytest.raises(UserError, match=r"records\.jsonl is being written by another process: let that end"):
            stage.open({})
    with stage.open({}) as out:
        assert out.done == {program(1).question_id}


def test_stage_close_syncs_files_and_folders(tmp_path: Path) -> None:
    with Disk(str(tmp_path)) as disk:
        with Stage(tmp_path, "evaluate/arm/answer", Program).open({}) as out:
            out.write(program(1), cost(1, 1.0))
            out.write(Dropped(question_id="x", outcome=Outcome.no_answer, reason="so"))
        write_atomically(tmp_path / "deep" / "scores.json", "{}")
        assert disk.pending == []
        # An index that a power cut has torn is made again from the lines.
        files = [path for path in tmp_path.rglob("*.json*") if path.is_file()]
        disk.synced.pop(str(tmp_path / "evaluate" / "arm" / "answer" / "records.index"))
        assert {str(path): path.stat().st_size for path in files} == disk.synced
        assert len(files) == 5


# ── read without being held ───────────────────────────────────────────────────────────────────────

IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DROP = Dropped(question_id="", outcome=Outcome.program_invalid, reason="none")


def named(key: str) -> Program:
    return Program(question_id=key, code=f"x = '{key}'", author="fixed", attempts=1)


def of_folder(folder: Path, keys: Iterable[str], dropped: Iterable[str] = ()) -> Stage[Program]:
    stage = Stage(folder, "decompose", Program)
    with stage.open({}) as out:
        for key in keys:
            out.write(named(key))
        for key in dropped:
            out.write(DROP.model_copy(update={"question_id": key}))
    return stage


@pytest.mark.parametrize("record", Record.__subclasses__())
def test_record_line_begins_with_question_id(record: type[Record]) -> None:
    assert next(iter(record.model_fields)) == "question_id"


@given(keys=st.lists(IDS, unique=True, max_size=6), dropped=IDS)
def test_ids_are_read_from_line_heads(tmp_path_factory: pytest.TempPathFactory, keys: list[str], dropped: str) -> None:
    stage = of_folder(tmp_path_factory.mktemp("ids"), keys, {dropped} - {*keys})
    assert list(stage.ids()) == keys
    assert [record.question_id for record in stage.stream()] == keys
    assert stage.count() == len(keys)
    with stage.open({}) as out:
        assert out.done == {*keys, dropped}


@pytest.mark.parametrize("write", [json.dumps, lambda line: json.dumps(line, separators=(",", ":"))])
def test_ids_of_foreign_lines_are_read(write: Callable[[Any], str], tmp_path: Path) -> None:
    keys = ["plain", 'a "quoted" one', "späth", "back\\slash", "\u2028"]
    stage = of_folder(tmp_path, [])
    stage.records_path.write_text("".join(write(named(key).model_dump()) + "\n" for key in keys))
    assert list(stage.ids()) == keys
    assert [record.question_id for record in stage.stream(without={"plain"})] == keys[1:]
    stage.records_path.write_text("".join(json.dumps(named(key).model_dump()) + "\n" for key in keys))
    with stage.beside(stage) as record_of:
        assert record_of(keys[1]) == named(keys[1])
        assert record_of(keys[3]) == named(keys[3])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b'{"code":"x","author":"fixed","attempts":1}',
        b'{"question_id":7,"code":"x"}',
        b'{"question_id":"a',
        b'{"question_id":"a\\ud800","code":"x","author":"fixed","attempts":1}',
        b'{"question_id":"\xff","code":"x","author":"fixed","attempts":1}',
        b'{"question_id":"a\\',
    ],
    ids=["empty", "list", "none", "number", "open", "half", "bytes", "escape"],
)
def test_stage_open_refuses_line_without_id(line: bytes, tmp_path: Path) -> None:
    stage = of_folder(tmp_path, ["a"])
    with stage.records_path.open("ab") as out:
        out.write(line + b"\n")
    with pytest.raises(UserError, match=r"records\.jsonl:2: not a Program"):
        stage.open({})


def test_stage_read_refuses_damaged_line(tmp_path: Path) -> None:
    stage = of_folder(tmp_path, ["a", "b", "c"])
    text = stage.records_path.read_text().replace('"code":"x = \'b\'"', '"code":7')
    stage.records_path.write_text(text)
    with stage.open({}) as out:
        assert out.done == {"a", "b", "c"}
    with pytest.raises(UserError, match=r"records\.jsonl:2: not a Program.*code"):
        stage.records()
    assert [record.question_id for record in stage.stream(without={"b"})] == ["a", "c"]
    with stage.beside(stage) as record_of:
        assert record_of("c").question_id == "c"
    with stage.beside(stage) as record_of, pytest.raises(UserError, match=r"records\.jsonl:2: not a Program"):
        record_of("b")


def test_stream_holds_one_line(tmp_path: Path) -> None:
    stage = of_folder(tmp_path, [])
    line = named("x" * 2000).model_dump_json().encode() + b"\n"
    stage.records_path.write_bytes(b"".join(line.replace(b"x", b"%d" % n, 1) for n in range(3000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in stage.stream()) == sum(1 for _ in stage.ids()) == stage.count() == 3000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stage.records_path.stat().st_size > 10 << 20
    assert peak < 4 << 20


def test_stream_skips_torn_line(tmp_path: Path) -> None:
    stage = of_folder(tmp_path, ["a", "b"])
    whole = stage.records_path.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        stage.records_path.write_bytes(whole[:cut])
        assert list(stage.ids()) == ["a"]
        assert [record.question_id for record in stage.stream()] == ["a"]
        assert stage.count() == 1


# ── side by side, and in order ────────────────────────────────────────────────────────────────────


@given(data=st.data())
def test_beside_follows_the_lead_stage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    keys = [f"q{number}" for number in range(data.draw(st.integers(0, 12)))]
    stage = of_folder(tmp_path_factory.mktemp("beside"), keys)
    asked = [key for key in keys if data.draw(st.booleans())]
    with stage.beside(stage) as record_of:
        assert [record_of(key) for key in asked] == [named(key) for key in asked]


def test_beside_names_missing_and_misordered_questions(tmp_path: Path) -> None:
    stage = of_folder(tmp_path, ["a", "b", "c"])
    lead = Stage(tmp_path, "execute", Trace)
    with stage.beside(lead) as record_of:
        record_of("b")
        with pytest.raises(
            UserError, match=r"execute: question 'a' is not in the order of .*decompose: run `aotd exec"
        ):
            record_of("a")
    said = r"execute: question 'd' has no line in .*decompose: delete that folder"
    with stage.beside(lead) as record_of, pytest.raises(UserError, match=said):
        record_of("d")


def contents(stage: Stage[Program]) -> tuple[bytes, bytes]:
    return stage.records_path.read_bytes(), stage.dropped_path.read_bytes()


@given(data=st.data())
def test_sort_orders_any_permutation(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    order = data.draw(st.lists(IDS, unique=True, max_size=10))
    written = [key for key in data.draw(st.permutations(order)) if data.draw(st.booleans())]
    gone = {key for key in written if data.draw(st.booleans())}
    folder = tmp_path_factory.mktemp("sort")
    stage = of_folder(folder / "mixed", [k for k in written if k not in gone], [k for k in written if k in gone])
    kept = [key for key in order if key in {*written} - gone]
    expected = contents(of_folder(folder / "sorted", kept, [key for key in order if key in gone]))
    with stage.open({}) as out:
        out.sort(iter(order))
        assert contents(stage) == expected
        before = [path.stat().st_ino for path in (stage.records_path, stage.dropped_path)]
        out.sort(iter(order))
        assert [path.stat().st_ino for path in (stage.records_path, stage.dropped_path)] == before
        places = {one.question_id: place for one, place in out.written(map(named, order))}
        assert list(places) == [key for key in order if key in written]
        for key, place in places.items():
            assert out.read(place) == (DROP.model_copy(update={"question_id": key}) if key in gone else named(key))
        more = named("one more than all of them")
        assert out.read(out.write(more)) == more


def test_sort_of_ordered_lines_holds_nothing(tmp_path: Path) -> None:
    keys = [f"q{number:08d}" for number in range(20_000)]
    stage = of_folder(tmp_path, [])
    stage.records_path.write_text("".join(named(key).model_dump_json() + "\n" for key in keys))
    with stage.open({}) as out:
        tracemalloc.start()
        try:
            out.sort(stage.ids())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 << 20


@pytest.mark.parametrize("fault", [full, broken], ids=["full", "broken"])
def test_sort_interrupted_leaves_lines(fault: Any, tmp_path: Path) -> None:
    stage = of_folder(tmp_path, ["d", "a", "c"], ["e", "b"])
    before = contents(stage)
    with stage.open({}) as out, Disk(str(tmp_path)) as disk:
        out.sort("abcde")
        operations = disk.count
    after = contents(stage)
    assert operations > 8
    assert after != before
    for at in range(1, operations + 1):
        for path, text in zip((stage.records_path, stage.dropped_path), before, strict=True):
            path.write_bytes(text)
        with stage.open({}) as out, Disk(str(tmp_path), at, fault), suppress(UserError):
            out.sort("abcde")
        for old, new, found in zip(before, after, contents(stage), strict=True):
            assert found in (old, new)
        with stage.open({}) as out:
            out.sort("abcde")
        assert contents(stage) == after


@pytest.mark.parametrize(("order", "key"), [("ab", "c"), ("bac", "c")], ids=["unknown", "twice"])
def test_sort_names_extra_line_and_loses_none(order: str, key: str, tmp_path: Path) -> None:
    stage = of_folder(tmp_path, "abc")
    if order == "bac":
        stage.records_path.write_bytes(stage.records_path.read_bytes() + named("c").model_dump_json().encode() + b"\n")
    before = contents(stage)
    with (
        stage.open({}) as out,
        pytest.raises(UserError, match=rf"records\.jsonl: a line of question '{key}' is one too"),
    ):
        out.sort(iter(order))
    assert contents(stage) == before
