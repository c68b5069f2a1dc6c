"""What a run meets on long jobs: kills, a full disk, one that fails, workers and servers that die.

Each time the same command goes on, and what it ends in is what an untroubled run ends in, byte for byte. The kills are
those of `benchmarks/faults.py`, a few of them; `make test-faults` makes two hundred, over every verb.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import aotd.execute.job
from aotd.cli.main import main
from aotd.errors import UserError
from aotd.records import Outcome, Question, Trace
from aotd.store.stage import Stage, StageWriter
from benchmarks.crash import Disk, broken, full
from tests.corners import corner_config, corners, one_thread, run
from tests.jobs import do
from tests.llm.test_openai import said, server

__all__ = ["corners", "one_thread", "run"]
ROOT = Path(__file__).parents[1]
SIZES = [f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 0), ("test", 0))]
SETTINGS = [*SIZES, "dataset.playroom.difficulty=easy", "specialists.frames=8", "execute.workers=1"]
VERBS = ("load", "decompose", "execute", "convert", "verify")

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts processes by /proc")


def words(folder: Path, verb: str, *more: str) -> list[str]:
    return [verb, f"run={folder}/run", f"dataset.root={folder}/world", *SETTINGS, *more]


def contents(folder: Path, verb: str) -> dict[str, bytes]:
    """A verb's files, but for what it measured."""
    return {path.name: path.read_bytes() for path in (folder / "run" / verb).iterdir() if path.name != "costs.jsonl"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for verb in VERBS:
        assert main(words(folder, verb)) == 0
    return folder


def before(verb: str, whole: Path, folder: Path) -> Path:
    """A folder in which every verb before `verb` has run."""
    shutil.copytree(whole / "world", folder / "world")
    for earlier in VERBS[: VERBS.index(verb)]:
        shutil.copytree(whole / "run" / earlier, folder / "run" / earlier)
    (folder / "run").mkdir(exist_ok=True)
    return folder


@linux
def test_kills_at_any_operation_change_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.faults", "--kills", "5", "--seed", "0", "--verbs", *VERBS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    expected = {"kills": 5, "lost": 0, "doubled": 0, "orphans": 0, "equal": True}
    assert {name: found[name] for name in expected} == expected


# ── the disk ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", [full, broken], ids=["full", "broken"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_disk_that_takes_no_more_is_one_line_and_the_same_command_goes_on(
    verb: str, fault: Any, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = before(verb, whole, tmp_path)
    ended = []
    for at in (1, 3, 7, 9, 30):
        capsys.readouterr()
        with Disk(str(folder / "run"), at, fault):
            ended.append(main(words(folder, verb)))
        if ended[-1]:
            line = capsys.readouterr().err.splitlines()[-1]
            mend = "No space left on device: make room" if fault is full else "Input/output error: look after the disk"
            assert line.startswith(f"aotd: {folder}/run/"), line
            assert line.endswith(f": {mend} and run the same command again, it goes on where it left off"), line
    assert ended[:3] == [2, 2, 2]
    assert main(words(folder, verb)) == 0
    assert contents(folder, verb) == contents(whole, verb)


def test_a_full_disk_while_a_student_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights are written by native code, which meets the limit as it would meet a full disk."""
    config = corner_config(run)
    config.distill.only = ["aotd"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"aotd/student.partial: File too large: make room and run the same"):
            do("distill", config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    do("distill", config)
    assert sorted(path.name for path in (run / "distill/aotd").iterdir() if path.is_dir()) == ["student"]


# ── processes that die ────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_is_killed_is_replaced(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = before("execute", whole, tmp_path)
    add, killed = StageWriter.add, []

    def kill_one(*arguments: Any) -> Any:
        if not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()
        return add(*arguments)

    monkeypatch.setattr(StageWriter, "add", kill_one)
    assert main(words(folder, "execute", "execute.workers=2")) == 0
    assert killed
    assert contents(folder, "execute") == contents(whole, "execute")


def test_workers_that_all_die_are_one_line(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = before("execute", whole, tmp_path)
    with killing_every_child():
        assert main(words(folder, "execute", "execute.workers=2")) == 2
    assert "a worker of execute died twice" in capsys.readouterr().err.splitlines()[-1]
    assert main(words(folder, "execute")) == 0
    assert contents(folder, "execute") == contents(whole, "execute")


@contextmanager
def killing_every_child() -> Iterator[None]:
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.05):
            for child in multiprocessing.active_children():
                child.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_specialist_that_crashes_ends_only_its_own_question(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = before("execute", whole, tmp_path)
    load = aotd.execute.job.load_specialists
    calls = []

    def failing(*arguments: Any) -> Any:
        loaded = load(*arguments)
        ground = loaded.grounding.ground

        def crash(*asked: Any) -> Any:
            calls.append(asked)
            if len(calls) == 5:
                raise RuntimeError("out of order")
            return ground(*asked)

        monkeypatch.setattr(loaded.grounding, "ground", crash, raising=False)
        return loaded

    monkeypatch.setattr(aotd.execute.job, "load_specialists", failing)
    assert main(words(folder, "execute")) == 0
    stages = [Stage(one / "run", "execute", Trace) for one in (folder, whole)]
    dropped, expected = ({one.question_id: one for one in stage.dropped()} for stage in stages)
    (new,) = dropped.keys() - expected.keys()
    ended = dropped[new]
    assert (ended.outcome, ended.reason) == (Outcome.tool_failed, "Filter_frames_with_act: RuntimeError: out of order")
    assert [one for one in stages[1].records() if one.question_id != new] == stages[0].records()


# ── a language model's server ─────────────────────────────────────────────────────────────────────

PROGRAM = "def execute_command(video_clip, query, possible_answers):\n    return possible_answers[0]\n"


def test_a_server_that_dies_half_way_is_asked_for_nothing_twice(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = before("decompose", whole, tmp_path)
    alive = [10]

    def answer(body: dict[str, Any], number: int) -> Any:
        alive[0] -= 1
        return said(PROGRAM) if alive[0] >= 0 else None

    with server(answer) as (url, asked):
        more = [f"llm.url={url}", "llm=openai", "llm.model=m", "llm.retries=0", "decompose.author=llm"]
        more += [f"llm.record={folder}/replies.jsonl", "llm.batch=4"]
        assert main(words(folder, "decompose", *more)) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"aotd: llm.url: {url} dropped the connection")
        record = folder / "replies.jsonl"
        assert len(record.read_text().splitlines()) == 10
        # The power went too, and took half of the last reply with it.
        os.truncate(record, record.stat().st_size - 10)
        alive[0] = 1000
        assert main(words(folder, "decompose", *more)) == 0
        prompts = [body["messages"][0]["content"] for body in asked]
    whole_lines = {json.loads(line)["prompt"] for line in record.read_text().splitlines()}
    # What failed is asked again, and so is the one reply that was torn; nothing else.
    failed = len(asked) - len(whole_lines) - 1
    assert 1 <= failed <= 4
    assert len(set(prompts)) == len(whole_lines)
    questions = Stage(folder / "run", "load", Question).records()
    assert len((folder / "run/decompose/records.jsonl").read_text().splitlines()) == len(questions)


def test_a_record_that_is_deleted_half_way_loses_nothing_of_the_run(whole: Path, tmp_path: Path) -> None:
    folder = before("decompose", whole, tmp_path)
    record = folder / "replies.jsonl"

    def answer(body: dict[str, Any], number: int) -> Any:
        if number == 6:
            record.unlink()
        return said(PROGRAM)

    with server(answer) as (url, asked):
        more = [f"llm.url={url}", "llm=openai", "llm.model=m", "decompose.author=llm", f"llm.record={record}"]
        assert main(words(folder, "decompose", *more, "llm.batch=2")) == 0
        prompts = [body["messages"][0]["content"] for body in asked]
    assert len(prompts) == len(set(prompts))
    assert len((folder / "run/decompose/records.jsonl").read_text().splitlines()) == 22
