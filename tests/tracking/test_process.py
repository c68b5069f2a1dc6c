"""wandb late, broken, hanging and dead: the run goes on, and nothing that was told is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aotd.errors import UserError
from aotd.records import Detection
from aotd.store.run import Run
from aotd.tracking import KEY, Artifact, Picture, TrackerName, TrackingConfig, TrackingMode, process
from aotd.tracking.process import open_tracker

ROOT = Path(__file__).parents[2]
FAKE = '''
"""Stands in for wandb: writes down what it is asked, and at one call fails or hangs."""
import json, os, sys, time
class Error(Exception): pass
def say(**what):
    with open(os.environ["FAKE_SAYS"], "a") as out:
        out.write(json.dumps(what) + "\\n")
def meet(call):
    at, _, what = os.environ.get("FAKE_FAILS", "").partition(":")
    if at == call:
        if what == "hang":
            time.sleep(1000)
        if what == "connection":
            raise ConnectionResetError("Connection lost")
        raise Error("no more of this") if what == "wandb" else RuntimeError("no more of this")
class Settings:
    def __init__(self, **values): self.values = values
class Table:
    def __init__(self, columns, data): self.columns, self.data = columns, data
class Image:
    def __init__(self, image, boxes, file_type): self.told = [list(image.size), boxes]
class Artifact:
    digest = "d1"
    def __init__(self, name, type): self.name, self.type, self.files, self.refs = name, type, {}, []
    def add_file(self, path, name, policy, skip_cache): self.files[name] = open(path).read()
    def add_reference(self, uri, checksum): self.refs.append(uri)
class Config:
    def update(self, values, allow_val_change): say(config=values)
class Run:
    config, offline, dir = Config(), True, "/nowhere/files"
    def log(self, values):
        meet("log")
        tables = {k: [v.columns, [[getattr(c, "told", c) for c in r] for r in v.data]] for k, v in values.items()
                  if isinstance(v, Table)}
        say(log={**values, **tables})
    def log_artifact(self, a): say(made=[a.name, a.type, a.files, a.refs])
    def _log_artifact(self, a, is_user_created, use_after_commit): say(used=[a.name, a.type, a.files, a.refs])
    def use_artifact(self, a): say(used_online=a.name)
    def finish(self, exit_code):
        meet("finish")
        say(finish=exit_code)
run = None
def init(mode, settings, **named):
    say(init=named, mode=mode, key=os.environ.get("WANDB_API_KEY"), data=os.environ["WANDB_DATA_DIR"])
    if not (os.environ.get("FAKE_FAILS") == "init:wandb" and mode == "offline"):
        meet("init")
    global run
    run = Run()
    return run
'''


@pytest.fixture(autouse=True)
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Puts the stand-in where the process looks for wandb; the file in which it writes down what it is asked."""
    package = tmp_path / "fake" / "wandb"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{ROOT}")
    monkeypatch.setenv("FAKE_SAYS", str(tmp_path / "says.jsonl"))
    return tmp_path / "says.jsonl"


def heard(says: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in says.read_text().splitlines()]


def config(mode: TrackingMode = TrackingMode.offline) -> TrackingConfig:
    return TrackingConfig(TrackerName.wandb, "ours", mode)


def left(run: Path) -> list[Path]:
    return list((run / "wandb").glob("*.jsonl"))


def test_tracker_delivers_in_order(says: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "runs" / "mine"
    (run / "execute").mkdir(parents=True)
    (run / "execute" / "records.jsonl").write_text("1\n2\n")
    with open_tracker(config(), Run(run), "execute", "execute") as tracker:
        with (run / "execute" / "records.jsonl").open("a") as out:
            out.write("3\n4\n5\n")
        (run / "execute" / "dropped.jsonl").write_text("6\n")
        tracker.done(2.0)
        tracker.log({"a": 1})
        tracker.describe({"settings": {"b": 2}})
        box = Detection(frame=0, box=(64, 0, 320, 160), label="cup", score=0.5)
        frame = Picture(np.zeros((320, 640, 3), np.uint8), (box,))
        tracker.table("frames", ("question", "image"), [("why?", frame)])
        files = {"records.jsonl": run / "execute" / "dropped.jsonl"}
        tracker.artifact(Artifact("mine-programs", "programs", files), used=True)
        tracker.artifact(Artifact("mine-traces", "traces", files, [run / "execute"]), used=False)
    opened, *rest = heard(says)
    named = {"project": "ours", "group": "mine", "job_type": "execute", "name": "execute", "dir": str(run)}
    assert opened["init"] == named
    assert opened["mode"] == "offline"
    assert opened["data"] == str(run / "wandb" / "data")
    # Two lines were there before.
    assert rest[0] == {"log": {"seconds": 2.0, "handled": 4, "questions_per_second": 2.0}}
    assert rest[1:3] == [{"log": {"a": 1}}, {"config": {"settings": {"b": 2}}}]
    columns, ((question, (size, boxes)),) = rest[3]["log"]["frames"]
    assert (columns, question, size) == (["question", "image"], "why?", [320, 160])
    (drawn,) = boxes["found"]["box_data"]
    assert drawn["position"] == {"minX": 32, "maxX": 160, "minY": 0, "maxY": 80}
    assert (drawn["box_caption"], drawn["scores"], boxes["found"]["class_labels"]) == (
        "cup",
        {"score": 0.5},
        {"0": "cup"},
    )
    assert rest[4] == {"used": ["mine-programs", "programs", {"records.jsonl": "6\n"}, []]}
    assert rest[5]["made"][-1] == [(run / "execute").as_uri()]
    assert rest[6]["config"]["lineage"] == {"used": {"mine-programs": "d1"}, "made": {"mine-traces": "d1"}}
    assert rest[7:] == [{"finish": 0}]
    assert not left(run)
    assert not capsys.readouterr().err


def test_tracker_key_reaches_only_wandb(
    says: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aotd.tracking._key", None)
    monkeypatch.setenv(KEY, "k" * 40)
    with open_tracker(config(), Run(tmp_path / "run"), "load", "load"):
        assert KEY not in os.environ
        (written,) = left(tmp_path / "run")
        assert "kkkk" not in written.read_text()
    assert heard(says)[0]["key"] == "k" * 40


@pytest.mark.parametrize("fails", ["init:error", "log:error"])
def test_tracker_error_is_one_line_and_keeps_messages(
    fails: str,
    says: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAILS", fails)
    with open_tracker(config(), Run(tmp_path / "run"), "distill", "distill/aotd") as tracker:
        tracker.log({"step": 1})
        time.sleep(1.0)
        tracker.log({"step": 2})
    (line,) = capsys.readouterr().err.splitlines()
    (path,) = left(tmp_path / "run")
    assert line.startswith("aotd: tracking: wandb has failed: RuntimeError: no more of this; to try again: ")
    assert line.endswith(f"python -m aotd.tracking.worker {path}")
    monkeypatch.delenv("FAKE_FAILS")
    says.unlink()
    subprocess.run(
        [sys.executable, "-m", "aotd.tracking.worker", str(path)],
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert [one["log"]["step"] for one in heard(says) if "log" in one] == [1, 2]
    assert heard(says)[-1] == {"finish": 0}
    assert not path.exists()


@pytest.mark.parametrize("fails", ["init:hang", "log:hang", "finish:hang"])
def test_tracker_hanging_stops_nothing(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAILS", fails)
    monkeypatch.setattr(process, "FINISH_S", 1.5)
    started = time.monotonic()
    with open_tracker(config(), Run(tmp_path / "run"), "distill", "distill/aotd") as tracker:
        for step in range(2000):
            tracker.log({"step": step})
        assert time.monotonic() - started < 1.5
    assert time.monotonic() - started < 4.0
    (line,) = capsys.readouterr().err.splitlines()
    assert "wandb was not done 1.5 s after the job" in line
    (path,) = left(tmp_path / "run")
    assert len(path.read_text().splitlines()) == 2002


def test_tracker_restarts_killed_service(
    says: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAILS", "finish:connection")
    with open_tracker(config(), Run(tmp_path / "run"), "distill", "distill/aotd") as tracker:
        tracker.log({"step": 1})
    assert [one["log"]["step"] for one in heard(says) if "log" in one] == [1, 1]
    assert "Connection lost" in capsys.readouterr().err  # it was lost the second time too
    assert left(tmp_path / "run")


def test_tracker_online_falls_back_to_offline(
    says: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAILS", "init:wandb")
    with open_tracker(config(TrackingMode.online), Run(tmp_path / "run"), "load", "load") as tracker:
        tracker.artifact(Artifact("a", "questions", {}), used=True)
    assert [one["mode"] for one in heard(says) if "init" in one] == ["online", "offline"]
    assert "used" in heard(says)[2]
    monkeypatch.delenv("FAKE_FAILS")
    with open_tracker(config(TrackingMode.online), Run(tmp_path / "run"), "load", "load") as tracker:
        tracker.artifact(Artifact("a", "questions", {}), used=True)
    assert {"used_online": "a"} in heard(says)
    assert not left(tmp_path / "run")


def test_tracker_of_failed_job_is_not_waited_for(says: Path, tmp_path: Path) -> None:
    def fail() -> None:
        with open_tracker(config(), Run(tmp_path / "run"), "load", "load"):
            (tmp_path / "run" / "load").mkdir()
            (tmp_path / "run" / "load" / "records.jsonl").write_text("1\n2\n")
            raise UserError("no such file")

    with pytest.raises(UserError, match="no such file"):
        fail()
    wait_for_end(says)
    assert heard(says)[1]["log"]["handled"] == 2
    assert heard(says)[-1] == {"finish": 1}


def test_tracker_of_killed_job_keeps_messages(says: Path, tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from aotd.store.run import Run; from aotd.tracking.process import *\n"
        f"run = Run(Path({str(tmp_path / 'run')!r}))\n"
        "with open_tracker(TrackingConfig(TrackerName.wandb), run, 'load', 'load') as tracker:\n"
        "    tracker.log({'a': 1}); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    wait_for_end(says)
    assert heard(says)[-3:] == [{"log": {"a": 1}}, {"config": {"lineage": {"used": {}, "made": {}}}}, {"finish": 1}]
    assert not left(tmp_path / "run")


def test_tracker_reports_full_disk_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").write_text("no folder")
    with open_tracker(config(), Run(tmp_path / "run"), "load", "load") as tracker:
        tracker.log({"a": 1})
        tracker.log({"a": 2})
    assert len(capsys.readouterr().err.splitlines()) == 1


def wait_for_end(says: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and not (says.exists() and "finish" in says.read_text()):
        time.sleep(0.1)
