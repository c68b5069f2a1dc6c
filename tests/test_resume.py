"""Killed anywhere and started again, a run ends as if it had not been. What it took, it takes again: costs differ."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from aotd.records import Program, Thought, Trace
from aotd.store import Stage

VERBS = ("load", "decompose", "execute", "convert", "verify")
FILES = ("manifest.json", "records.jsonl", "dropped.jsonl")
COSTS = "costs.jsonl"
MEASURED = {"decompose": Program, "execute": Trace, "convert": Thought}


def command(folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "aotd.cli", "run", f"run={folder}/run", f"dataset.root={folder}/world"),
        *(f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 4), ("test", 4))),
        f"verbs=[{','.join(VERBS)}]",
    ]


def finish(folder: Path) -> float:
    """Run to the end; the seconds it took."""
    started = time.monotonic()
    done = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - started


def kill_after(folder: Path, seconds: float) -> None:
    """Start a run and SIGKILL it."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    run = folder / "run"
    assert {path.name for verb in VERBS for path in (run / verb).iterdir()} == {*FILES, COSTS}
    return {f"{verb}/{name}": (run / verb / name).read_bytes() for verb in VERBS for name in FILES}


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    seconds = finish(whole)
    chance = random.Random(0)
    for _ in range(10):
        kill_after(killed, chance.uniform(0.1, 0.6) * seconds)
    finish(killed)
    expected = contents(whole)
    assert b"kept" in expected["verify/records.jsonl"]
    # The root's path is the only thing in which the two may differ.
    got = {name: data.replace(bytes(killed), bytes(whole)) for name, data in contents(killed).items()}
    assert got == expected
    for verb, record in MEASURED.items():
        stage = Stage(killed / "run", verb, record)
        went_through = {line.question_id for line in [*stage.records(), *stage.dropped()]}
        costs = stage.costs()
        assert set(costs) == went_through, verb
        assert all(cost.seconds > 0 for cost in costs.values())
