"""Told to stop, a run is gone within seconds, with its workers, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from aotd.cli.main import main
from aotd.runtime.signals import Stopped, listening
from tests.llm.test_openai import said, server
from tests.test_faults import before, contents, whole, words

__all__ = ["whole"]
SOON_S = 5.0


def stop(command: list[str], number: signal.Signals, ready: Callable[[], bool], group: bool = False) -> str:
    """Start a command, wait until it is ready, and signal it, or its whole group; the last line that it says."""
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        try:
            until = time.monotonic() + 60
            while not ready():
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < until
                time.sleep(0.01)
            family = psutil.Process(process.pid).children(recursive=True)
            told = time.monotonic()
            (os.killpg if group else os.kill)(process.pid, number)
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 128 + number, errors
            _, alive = psutil.wait_procs(family, timeout=max(0.1, told + SOON_S - time.monotonic()))
            assert not alive
            assert time.monotonic() - told < SOON_S
            assert "Traceback" not in errors
            assert "Warning" not in errors
            return str(errors.splitlines()[-1].strip())
        finally:
            process.kill()


def aotd(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aotd", *arguments]


def lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGUSR1, True)], ids=["one", "group"])
def test_signal_ends_execute_with_its_workers(number: signal.Signals, group: bool, whole: Path, tmp_path: Path) -> None:
    folder = before("execute", whole, tmp_path)
    command = aotd(*words(folder, "execute", "execute.workers=2"))
    said = stop(command, number, lambda: lines(folder / "run/execute/records.jsonl") > 0, group)
    assert said == f"aotd: stopped by {number.name}; the same command goes on where it left off"
    assert main(words(folder, "execute")) == 0
    assert contents(folder, "execute") == contents(whole, "execute")


def test_signal_ends_waiting_request(whole: Path, tmp_path: Path) -> None:
    folder = before("decompose", whole, tmp_path)
    waiting = []

    def answer(body: dict[str, Any], number: int) -> Any:
        if number > 4:
            waiting.append(number)
            time.sleep(8)
        return said("def execute_command(video_clip, query, possible_answers):\n    return possible_answers[0]\n")

    with server(answer) as (url, _):
        more = [f"llm.url={url}", "llm=openai", "llm.model=m", "decompose.author=llm", "llm.batch=2"]
        record = folder / "replies.jsonl"
        command = aotd(*words(folder, "decompose", *more, f"llm.record={record}"))
        stop(command, signal.SIGTERM, lambda: bool(waiting))
        assert lines(record) == 4
        assert lines(folder / "run/decompose/records.jsonl") >= 3


STUCK = """
import hashlib, sys, time
from pathlib import Path
from aotd.cli.main import main
from aotd.runtime.signals import Stopped, listening
from aotd.load import job
from aotd.store.files import Shard
from aotd.records import Dropped, Outcome

def stuck(run, **settings):
    shard = Shard(Path(sys.argv[1]))
    shard.append(Dropped(question_id="q", outcome=Outcome.kept, reason="so"))
    {what}

job.job = stuck
sys.exit(main(["load"]))
"""


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (signal.SIGINT, "time.sleep(60)"),
        (signal.SIGUSR1, "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"),  # one long call in C
        (signal.SIGTERM, "try: time.sleep(60)\n    except BaseException: time.sleep(60)"),
    ],
    ids=lambda one: one.name if isinstance(one, signal.Signals) else "",
)
def test_signal_ends_stuck_process(number: signal.Signals, what: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    said = stop([sys.executable, "-c", STUCK.format(what=what), str(path)], number, lambda: lines(path) == 1)
    assert said == f"aotd: stopped by {number.name}; the same command goes on where it left off"


def test_second_signal_is_ignored() -> None:
    left = []

    def leave() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            left.append("in order")

    with pytest.raises(Stopped), listening():
        leave()
    assert left == ["in order"]


def test_workers_end_with_killed_parent(whole: Path, tmp_path: Path) -> None:
    folder = before("execute", whole, tmp_path)
    process = subprocess.Popen(
        aotd(*words(folder, "execute", "execute.workers=2")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not lines(folder / "run/execute/records.jsonl"):
        assert process.poll() is None
        time.sleep(0.01)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=SOON_S)
    assert not alive
