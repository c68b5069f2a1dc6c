"""Shards of a run, gathered, are the run: byte for byte, however many there are and whatever happens to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotd.cli.main import main
from aotd.commands.run import narrowed, run_verb
from aotd.config.command_line import read_settings
from aotd.errors import UserError
from aotd.records import Program, Question
from aotd.store.run import Run
from aotd.store.shards import ShardId, deal, divisions, number_of, shards
from aotd.store.stage import Stage
from aotd.verbs import SHARDED
from benchmarks.crash import Disk, broken, full
from tests.llm.test_openai import said, server
from tests.sample_run import question

ROOT = Path(__file__).parents[2]
SIZES = [f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 8), ("val", 0), ("test", 0))]
SETTINGS = [*SIZES, "dataset.playroom.difficulty=easy", "specialists.frames=8", "execute.workers=1", "cache.gb=0"]
ALL = f"verbs=[{','.join(SHARDED)}]"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without shards, with its videos beside it."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(words(folder, "run", f"verbs=[load,{','.join(SHARDED)}]")) == 0
    return folder


@pytest.fixture(scope="module")
def parts(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in three shards, not gathered."""
    folder = loaded(whole, tmp_path_factory.mktemp("parts"))
    do(folder, 3)
    return folder


@pytest.fixture
def three(parts: Path, tmp_path: Path) -> Path:
    return shutil.copytree(parts, tmp_path / "three", symlinks=True)


def words(folder: Path, verb: str, *more: str) -> list[str]:
    return [verb, f"run={folder}/run", f"dataset.root={folder}/world", *SETTINGS, *more]


def part(folder: Path, verb: str, number: int, of: int, *more: str) -> list[str]:
    return words(folder, verb, f"shard.number={number}", f"shard.of={of}", *more)


def loaded(whole: Path, folder: Path) -> Path:
    """A folder in which nothing but `load` has run."""
    folder.mkdir(exist_ok=True)
    (folder / "world").symlink_to(whole / "world")
    for name in ("load", "state"):
        shutil.copytree(whole / "run" / name, folder / "run" / name)
    return folder


def do(folder: Path, of: int) -> None:
    for shard in reversed(shards(of)):
        assert main(part(folder, "run", shard.number, of, ALL)) == 0


def contents(folder: Path, verbs: Sequence[str] = SHARDED) -> dict[str, bytes]:
    """The files of some verbs; of costs, whose they are."""
    found = {}
    for path in sorted(path for verb in verbs for path in (folder / "run" / verb).iterdir()):
        data = path.read_bytes()
        if path.name == "costs.jsonl":
            data = "\n".join(sorted({json.loads(line)["question_id"] for line in data.splitlines()})).encode()
        found[str(path.relative_to(folder))] = data
    return found


# ── the same bytes ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("of", [1, 7])
def test_gather_equals_run_in_one_process(of: int, whole: Path, tmp_path: Path) -> None:
    folder = loaded(whole, tmp_path)
    do(folder, of)
    counts = [Stage(shard.run(Run(folder / "run")).folder, "load", Question).count() for shard in shards(of)]
    assert sum(counts) == Stage(whole / "run", "load", Question).count()
    assert 0 in counts or of < 7
    assert main(words(folder, "gather")) == 0
    assert contents(folder) == contents(whole)
    assert {"run/verify/manifest.json", "run/execute/dropped.jsonl", "run/execute/costs.jsonl"} <= contents(
        whole
    ).keys()


def test_gather_twice_changes_nothing(three: Path, whole: Path) -> None:
    assert main(words(three, "gather")) == 0
    before = {path: path.stat().st_ino for verb in SHARDED for path in (three / "run" / verb).iterdir()}
    shutil.rmtree(three / "run" / "shards")
    assert main(words(three, "gather")) == 0
    assert {path: path.stat().st_ino for path in before} == before
    assert main(words(three, "verify")) == 0
    assert contents(three) == contents(whole)


def test_shards_ask_language_model_alike(whole: Path, tmp_path: Path) -> None:
    def answer(body: dict[str, object], number: int) -> object:
        return said("def execute_command(video_clip, query, possible_answers):\n    return possible_answers[0]\n")

    with server(answer) as (url, _):
        llm = [f"llm.url={url}", "llm=openai", "llm.model=m", "decompose.author=llm", "llm.batch=3"]
        for name, verb in (("one", "decompose"), ("two", "gather")):
            folder, more = loaded(whole, tmp_path / name), [*llm, f"llm.record={tmp_path / name}.jsonl"]
            for number in (1, 2) if name == "two" else ():
                assert main(part(folder, "decompose", number, 2, *more)) == 0
            assert main(words(folder, verb, *more, "verbs=[decompose]")) == 0
    assert contents(tmp_path / "one", ["decompose"]) == contents(tmp_path / "two", ["decompose"])
    # One process at a time records into a file.
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [
        "one.jsonl",
        "two.1-of-2.jsonl",
        "two.2-of-2.jsonl",
    ]


# ── who has which questions ───────────────────────────────────────────────────────────────────────


@given(video=st.text(), of=st.integers(1, 1000))
def test_number_of_assigns_video_to_one_shard(video: str, of: int) -> None:
    assert 1 <= number_of(video, of) <= of
    assert number_of(video, 1) == 1


def test_number_of_is_stable() -> None:
    assert [number_of(f"v{number}", 4) for number in range(4)] == [4, 3, 2, 3]
    counts = [sum(number_of(f"v{video}", 7) == number for video in range(7000)) for number in range(1, 8)]
    assert all(900 < count < 1100 for count in counts)


def test_deal_keeps_lines_byte_for_byte(three: Path) -> None:
    run = three / "run"
    lines = (run / "load" / "records.jsonl").read_bytes().splitlines()
    dealt = [(shard.run(Run(run)).folder / "load" / "records.jsonl").read_bytes().splitlines() for shard in shards(3)]
    assert sorted(line for part in dealt for line in part) == sorted(lines)
    for part in dealt:
        assert part == [line for line in lines if line in part]
    videos = [{json.loads(line)["video_id"] for line in part} for part in dealt]
    assert not videos[0] & videos[1] | videos[0] & videos[2] | videos[1] & videos[2]


def test_narrowed_shares_cache_and_separates_records(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Stage(folder, "load", Question).open({}) as out:
        out.write(question("a"))
    settings = [f"run={folder}", "llm=openai", "llm.record=said/all.jsonl", "shard.number=1", "shard.of=2"]
    config = read_settings("decompose", settings)
    with pytest.raises(UserError, match="may lack questions: run `aotd load` again"):
        narrowed("decompose", config)
    (folder / "state").mkdir()
    (folder / "state" / "load.json").write_text('{"doing":"done","started_s":1,"lines":1}')
    narrow = narrowed("decompose", config)
    assert narrow.run == str(folder / "shards" / "1-of-2")
    assert narrow.cache.folder == str(tmp_path / "cache")
    assert narrow.llm.record == "said/all.1-of-2.jsonl"
    assert (narrow.shard.number, narrow.shard.of) == (0, 0)
    assert narrowed("decompose", narrow) == narrow
    assert config.run == str(folder)


@pytest.mark.parametrize(
    ("verb", "asked", "said"),
    [
        ("decompose", ["shard.of=4"], "shard.number=0 shard.of=4: there is no such shard"),
        ("decompose", ["shard.number=5", "shard.of=4"], "there is no such shard"),
        ("decompose", ["shard.number=1", "shard.of=1001"], "there is no such shard: of 1 to 1000"),
        ("load", ["shard.number=1", "shard.of=4"], "load is not divided into shards, only decompose, execute"),
        ("distill", ["shard.number=1", "shard.of=4"], "distill is not divided into shards"),
        ("run", ["shard.number=1", "shard.of=4"], "load is not divided .*: name those in verbs"),
        ("gather", ["shard.number=1", "shard.of=4"], "gather reads all shards: leave it out"),
    ],
)
def test_narrowed_refuses_impossible_shards(verb: str, asked: list[str], said: str, parts: Path) -> None:
    with pytest.raises(UserError, match=said):
        run_verb(verb, read_settings(verb, words(parts, verb, *asked)[1:]))


def test_deal_refuses_reloaded_questions(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = three / "run" / "load" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"limit": null', '"limit": 2'))
    for command in (part(three, "decompose", 1, 3), words(three, "gather")):
        assert main(command) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert "shards/1-of-3/load was made otherwise (settings.limit: None -> 2)" in line
        assert line.endswith(f": delete {three}/run/shards")


# ── what is missing is named ──────────────────────────────────────────────────────────────────────


def gathered(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What `gather` refuses with; it has written nothing."""
    capsys.readouterr()
    assert main(words(folder, "gather", *more)) == 2
    assert not any((folder / "run" / verb / "manifest.json").exists() for verb in SHARDED)
    return capsys.readouterr().err.splitlines()[-1]


def test_gather_names_unfinished_shards(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = three / "run"
    path = ShardId(3, 2).run(Run(run)).folder / "execute" / "records.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]) + b'{"question_id":"to')
    shutil.rmtree(ShardId(3, 3).run(Run(run)).folder / "execute")
    lines = Stage(ShardId(3, 2).run(Run(run)).folder, "decompose", Program).count()
    said = gathered(three, capsys)
    assert f"shard 2/3 of execute is not done: {lines - 2} of {lines} questions have a line" in said
    assert "shard 3/3 of execute is not done: it was not begun" in said
    assert said.endswith(f"run `aotd execute run={run} shard.number=2 shard.of=3`")
    assert main(part(three, "run", 2, 3, "verbs=[execute]")) == 0
    assert "shard 2/3" not in gathered(three, capsys)


def test_gather_names_failed_shard_with_error(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ShardId(3, 2).run(Run(three / "run")).folder / "execute"
    shutil.rmtree(folder)
    with Disk(str(folder), 5, full):
        assert main(part(three, "execute", 2, 3)) == 2
    said = gathered(three, capsys)
    assert "shard 2/3 of execute is not done" in said
    assert "No space left on device: make room and run the same command again" in said


@pytest.mark.parametrize("of", [[], ["shard.of=4"]])
def test_gather_needs_unambiguous_division(
    of: list[str], three: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert divisions(Run(three / "run")) == [3]
    assert main(part(three, "decompose", 1, 4)) == 0
    assert divisions(Run(three / "run")) == [3, 4]
    said = gathered(three, capsys, *of)
    assert ("was divided into 3 and into 4 shards: say shard.of=4" if not of else "shard 2/4 of decompose") in said
    assert main(words(three, "gather", "shard.of=3")) == 0
    assert contents(three) == contents(whole)


def test_gather_refuses_run_without_shards(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = loaded(whole, tmp_path)
    assert gathered(folder, capsys).endswith(
        f"was not divided into shards: run `aotd decompose run={folder}/run shard.number=1 shard.of=4`"
    )
    assert main(words(whole, "gather")) == 0


def test_gather_refuses_different_settings(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ShardId(3, 2).run(Run(three / "run")).folder
    shutil.rmtree(folder / "execute")
    assert main(part(three, "execute", 2, 3, "specialists.frames=4")) == 0
    said = gathered(three, capsys)
    assert "shards/2-of-3/execute was made otherwise (settings.frames: 4 -> 8) than" in said


def test_gather_refuses_run_begun_without_shards(three: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(whole / "run" / "decompose", three / "run" / "decompose")
    path = three / "run" / "decompose" / "records.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert main(words(three, "gather")) == 2
    assert "decompose was begun without shards and holds 3 of 40 questions" in capsys.readouterr().err
    assert main(words(three, "decompose")) == 0
    assert main(words(three, "gather")) == 0
    assert contents(three) == contents(whole)


@pytest.mark.parametrize("change", ["twice", "order", "foreign"])
def test_gather_refuses_foreign_lines(change: str, three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ShardId(3, 2).run(Run(three / "run")).folder / "decompose" / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "order":
        lines[:2] = lines[1::-1]
    elif change == "twice":
        lines[0] = lines[1]
    else:
        lines[-1] = lines[-1].replace(b'"question_id":"', b'"question_id":"x')
    path.write_bytes(b"".join(lines))
    assert "2-of-3/decompose: question" in gathered(three, capsys)


# ── killed ────────────────────────────────────────────────────────────────────────────────────────


def test_shard_killed_in_mid_line_resumes(three: Path, whole: Path) -> None:
    folder = ShardId(3, 2).run(Run(three / "run")).folder
    for verb in ("execute", "convert", "verify"):
        shutil.rmtree(folder / verb)
    command = [sys.executable, "-m", "aotd", *part(three, "execute", 2, 3)]
    path = folder / "execute" / "records.jsonl"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not path.is_file() or path.read_bytes().count(b"\n") < 2:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    path.write_bytes(path.read_bytes()[:-40])
    assert json.loads((folder / "state" / "execute.json").read_text())["doing"] == "running"
    assert main(part(three, "run", 2, 3, ALL)) == 0
    assert main(words(three, "gather")) == 0
    assert contents(three) == contents(whole)


KILLS = """
import os, sys, time
from pathlib import Path
import aotd.runtime.pools
from aotd.cli.main import main
from benchmarks.crash import Disk, cut_after, cut_before, cut_half, power_cut

root, words, verbs = sys.argv[1], sys.argv[2:], ("decompose", "execute", "convert", "verify")
kills, at = 0, 1
while True:
    fault = (cut_before, cut_half, cut_after, power_cut)[kills % 4]
    pid = os.fork()
    if not pid:
        aotd.runtime.pools._started_s = time.time()  # that is when a process of its own would have begun
        with Disk(root, at, fault, group=False):
            code = main(words)
        os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if status != 9:
        break
    kills, at = kills + 1, at + 1 + kills % 5
    there = [verb for verb in verbs if Path(root, "run", verb, "manifest.json").exists()]
    assert there == list(verbs[: len(there)]), there
print(kills, status)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_gather_killed_at_any_operation_resumes(three: Path, whole: Path) -> None:
    command = [sys.executable, "-c", KILLS, str(three), *words(three, "gather")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr[-3000:]
    kills, status = map(int, ran.stdout.split())
    assert status == 0
    assert kills > 10
    assert contents(three) == contents(whole)
    assert not list((three / "run").rglob("*.partial"))


@pytest.mark.parametrize("fault", [full, broken], ids=["full", "broken"])
def test_gather_on_full_disk_leaves_no_partial_verb(
    fault: object, three: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in (1, 4, 12, 30):
        with Disk(str(three / "run"), at, fault):  # type: ignore[arg-type]
            assert main(words(three, "gather")) == 2
        assert "run the same command again" in capsys.readouterr().err.splitlines()[-1]
    assert main(words(three, "gather")) == 0
    assert contents(three) == contents(whole)


# ── much of it ────────────────────────────────────────────────────────────────────────────────────


def many(folder: Path, count: int, of: int) -> Path:
    """A run that has been loaded and decomposed in shards, made by hand."""
    run = folder / "run"
    with Stage(run, "load", Question).open({}) as out:
        for number in range(count):
            out.write(question(f"q{number}"))
    (run / "state").mkdir()
    (run / "state" / "load.json").write_text('{"doing":"done","started_s":1,"lines":1}')
    for shard in shards(of):
        deal(Run(run), shard)
        part = shard.run(Run(run)).folder
        loaded = Stage(part, "load", Question)
        with Stage(part, "decompose", Program).open({}, inputs={"load": loaded.manifest_digest()}) as out:
            for one in loaded.stream():
                out.write(Program(question_id=one.question_id, code="x" * 2000, author="fixed", attempts=1))
    return folder


def test_gather_streams_lines(tmp_path: Path) -> None:
    folder = many(tmp_path, 4000, 3)
    tracemalloc.start()
    try:
        assert main(words(folder, "gather", "verbs=[decompose]")) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (folder / "run" / "decompose" / "records.jsonl").stat().st_size > 8_000_000
    assert peak < 4 << 20
    order = list(Stage(folder / "run", "load", Question).ids())
    assert list(Stage(folder / "run", "decompose", Question).ids()) == order


def test_gather_raises_open_file_limit(tmp_path: Path) -> None:
    folder = many(tmp_path, 60, 60)
    command = [sys.executable, "-m", "aotd", *words(folder, "gather", "verbs=[decompose]")]
    line = f"ulimit -Sn 100; exec {' '.join(command)}"
    ran = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert Stage(folder / "run", "decompose", Question).count() == 60
