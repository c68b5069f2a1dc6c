"""The whole chain on a real SLURM, with a shard killed and a job pre-empted: what comes out is what `aotd run` gives.

SLURM_CONF=… make test-slurm       a SLURM of one node will do; jobs run here, in the test's own folder
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.store.shards import ShardId
from aotd.store.state import state_of
from aotd.verbs import FLOW, SHARDED
from tests.specialists.tiny import write_checkpoint
from tests.tracking.test_wandb import kept

ROOT = Path(__file__).parents[1]
SIZES = ("image=16", "channels=16", "patches=1", "hidden=32", "layers=1", "heads=2", "vocabulary=400")
SETTINGS = [
    *(f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 16), ("val", 0), ("test", 4))),
    *("dataset.playroom.difficulty=easy", "execute.workers=1", *(f"student.valley.{size}" for size in SIZES)),
    *("student.frames=4", "distill.only=[instruct,aotd]", "distill.epochs=1", "distill.questions_per_step=8"),
    *("evaluate.arms=[blind,agent,aotd]", "evaluate.batch=8", "evaluate.resamples=50"),
    *("evaluate.max_rationale_tokens=8", "report.questions=2", "report.frames=2", "tracking.tracker=wandb"),
]
LATEST_S = 900.0
"""A job that goes back into the queue waits there for two minutes."""

pytestmark = pytest.mark.slurm


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("sbatch") is None or subprocess.run(["sinfo"], capture_output=True).returncode:
        pytest.skip("there is no SLURM here: see SLURM_CONF")
    aotd = tmp_path / "aotd"
    aotd.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m aotd "$@"\n')
    aotd.chmod(0o755)
    for name, value in {
        "AOTD": str(aotd),
        "AOTD_ALL": "--mem=1G --cpus-per-task=1",
        "AOTD_TRAIN": "--ntasks=2",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def words(folder: Path, run: str) -> list[str]:
    return [f"run={folder / run / 'run'}", f"dataset.root={folder}/world", *SETTINGS]


def chain(folder: Path) -> dict[str, str]:
    """Submit the chain; verb -> number of the job, in the order in which they were submitted."""
    command = ["bash", "slurm/chain.sh", "4", *words(folder, "many"), "distill.deepspeed=zero2"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return {verb: number for number, verb in (line.split() for line in ran.stderr.splitlines())}


def until(there: Callable[[], Any], every_s: float = 0.01) -> None:
    latest = time.monotonic() + LATEST_S
    while not there():
        assert time.monotonic() < latest
        time.sleep(every_s)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def ended(jobs: dict[str, str]) -> bool:
    queue = subprocess.run(["squeue", "-h", "-o", "%A %F"], capture_output=True, text=True, check=True).stdout
    return not {*queue.split()} & {*jobs.values()}


def contents(run: Path, verb: str) -> dict[str, bytes]:
    """A verb's files, but for what it measured."""
    return {path.name: path.read_bytes() for path in (run / verb).iterdir() if path.name != "costs.jsonl"}


def check_tracked(run: Path) -> None:
    """Each job has left a directory for wandb, and what is used is what was made, from the questions to the scores."""
    found = [
        one
        for part in (run, *(ShardId(4, number).run(Run(run)).folder for number in range(1, 5)))
        for one in kept(part)
    ]
    assert {one.group for one in found} == {"run"}
    done = Counter(one.job_type for one in found if one.status == 0)
    arms = 2
    assert done == {
        **dict.fromkeys(("load", "gather", "evaluate", "report"), 1),
        **dict.fromkeys(SHARDED, 4),
        "distill": 1 + arms,
    }
    assert sum(one.job_type == "execute" for one in found) == 4 + 2, "one was killed, one pre-empted"
    whole = next(one for one in found if one.job_type == "gather")
    for name, count in ledger(Run(run)).counts().items():
        assert whole.last[f"ledger/{name}"] == count
    for verb in FLOW:
        places = {key: value for key, value in whole.last.items() if key.startswith(f"funnel/{verb}/")}
        assert places.pop(f"funnel/{verb}/reached") == sum(places.values())
    made = {name: digest for one in found for name, digest in one.made.items()}
    for one in found:
        assert one.used.items() <= made.items()
    assert {"run-questions", "run-thoughts", "run-3-of-4-programs", "run-student-aotd", "run-scores"} <= set(made)
    assert {f"run-{number}-of-4-verdicts" for number in range(1, 5)} <= set(whole.used)


@pytest.mark.timeout(2400)
def test_a_chain_with_a_killed_shard_and_a_pre_empted_one_is_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words(folder, "one")]) == 0
    one, many = folder / "one" / "run", folder / "many" / "run"
    first = chain(folder)
    assert list(first) == ["load", *SHARDED, "gather", "distill", "evaluate", "report"]
    pre_empted, killed = (ShardId(4, number).run(Run(many)).folder for number in (1, 2))
    records = "execute/records.jsonl"

    until(lambda: lines(pre_empted / records))
    # As SLURM does with --signal=B:, but when we want it.
    subprocess.run(["scancel", "--batch", "--signal=USR1", f"{first['execute']}_1"], check=True)
    until(lambda: lines(killed / records))
    state = state_of(Run(killed), "execute")
    assert state is not None
    assert state.job == f"{first['execute']}_2"
    os.kill(state.pid, signal.SIGKILL)

    until(lambda: (state := state_of(Run(pre_empted), "execute")) and state.doing == "stopped")
    until(lambda: ended(first), 2.0)
    log = (many / "logs" / f"execute-{first['execute']}_1.log").read_text()
    assert "stopped by SIGUSR1; the same command goes on where it left off" in log
    assert re.search(r"told that time is up: job \d+ goes back into the queue", log)
    for shard, verbs in ((1, SHARDED), (2, SHARDED[:1]), (3, SHARDED), (4, SHARDED)):
        for verb in SHARDED:
            state = state_of(ShardId(4, shard).run(Run(many)), verb)
            assert (state is not None and state.doing == "done") == (verb in verbs), (shard, verb)
    assert not (many / "execute").exists()
    assert not (many / "distill").exists()
    capsys.readouterr()
    assert main(["status", str(many), "4"]) == 0
    said = capsys.readouterr().out
    assert "execute, shard 2/4 has gone without a word" in said
    assert f"job {first['execute']}_2" in said

    second = chain(folder)
    assert list(second) == [*SHARDED[1:], "gather", "distill", "evaluate", "report"]
    until(lambda: ended(second), 2.0)
    assert sorted(path.name for path in (many / "logs").glob(f"execute-{second['execute']}_*")) == [
        f"execute-{second['execute']}_2.log"
    ]
    for verb in ("load", *SHARDED):
        assert contents(many, verb) == contents(one, verb), verb
    for arm in ("blind", "agent", "aotd"):
        scores = [json.loads((run / "evaluate" / arm / "scores.json").read_text()) for run in (one, many)]
        for score in scores:
            score.pop("cost", None)
        assert scores[0] == scores[1]
    assert (many / "report.html").is_file()
    assert chain(folder) == {}
    check_tracked(many)


@pytest.mark.timeout(900)
def test_arrays_ask_specialists_of_a_server_that_is_started_and_ended_with_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_checkpoint("owlv2", folder / "models" / "owlv2")
    detector = ["specialists/detection=owlv2", f"specialists.detection.model={model}"]
    one, many = folder / "one" / "run", folder / "many" / "run"
    verbs = f"verbs=[load,{','.join(SHARDED)}]"
    assert main(["run", *words(folder, "one"), *detector, f"cache.folder={folder}/first", verbs]) == 0
    (folder / "servers.txt").write_text("# what the arrays ask\ngpu\n")
    monkeypatch.setenv("AOTD_SERVE", "--gpus=0 --cpus-per-task=1 --mem=2G")
    command = ["bash", "slurm/chain.sh", "--until", "gather", "--serve", f"{folder}/servers.txt", "2"]
    command += [*words(folder, "many"), *detector, f"cache.folder={folder}/second"]
    command.append(f"specialists.detection.url={many}/servers/gpu.json")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    jobs = {verb: number for number, verb in (line.split() for line in ran.stderr.splitlines())}
    assert list(jobs) == ["load", "serve-gpu", *SHARDED, "end", "gather"]
    until(lambda: ended(jobs), 2.0)
    for verb in ("load", *SHARDED):
        assert contents(many, verb) == contents(one, verb), verb
    assert b"owlv2 owlv2 (" in contents(many, "execute")["manifest.json"]
    assert not (many / "servers" / "gpu.json").exists()
    log = (many / "logs" / f"serve-gpu-{jobs['serve-gpu']}.log").read_text()
    assert "is up" in log


@pytest.mark.timeout(900)
def test_a_sweep_over_the_weight_of_rationales_is_an_array_of_jobs(folder: Path) -> None:
    run, weights = folder / "one" / "run", (0.5, 2.0)
    plain = [*words(folder, "one"), "tracking.tracker=none", "distill.only=[aotd]", "evaluate.arms=[aotd]"]
    assert main(["run", *plain, f"verbs=[load,{','.join(SHARDED)}]"]) == 0
    swept = f"distill.rationale_weight={','.join(map(str, weights))}"
    limits = ["hydra.launcher.timeout_min=10", "hydra.launcher.cpus_per_task=1", "hydra.launcher.array_parallelism=1"]
    command = [sys.executable, "-m", "aotd", "run", "-m", *plain, "verbs=[distill,evaluate]", swept]
    command += ["hydra/launcher=submitit_slurm", *limits]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert len(list((run / "sweep" / "jobs").glob("*/*_*/*_log.out"))) == 2, "not one array of two jobs"
    students = set()
    for weight in weights:
        point = run / "sweep" / f"distill.rationale_weight={weight}"
        made = json.loads((point / "distill" / "aotd" / "manifest.json").read_text())
        assert made["settings"]["rationale_weight"] == weight
        assert (point / "evaluate" / "aotd" / "scores.json").is_file()
        students.add((point / "distill" / "aotd" / "student" / "model.safetensors").read_bytes())
        assert f"rationale_weight={weight}" in done.stdout, "scores side by side"
    assert len(students) == 2
