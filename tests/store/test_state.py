"""How a verb ended is written down beside its folder, and nothing is made for a run that is not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from aotd.errors import UserError
from aotd.records import Dropped, Outcome, Program
from aotd.runtime.signals import Stopped
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.store.state import Doing, recorded, state_of, state_path

ROOT = Path(__file__).parents[2]


def write(run: Path, *keys: str) -> None:
    with Stage(run, "decompose", Program).open({}) as out:
        for key in keys:
            out.write(Program(question_id=key, code="x", author="fixed", attempts=1))
        out.write(Dropped(question_id=f"not {keys[0]}", outcome=Outcome.program_invalid, reason="none"))


def test_state_records_begin_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_JOB_ID", "20")
    write(tmp_path, "a", "b")
    with recorded(Run(tmp_path), "decompose"):
        state = state_of(Run(tmp_path), "decompose")
        assert state is not None
        assert (state.doing, state.begun_with, state.pid, state.job) == (Doing.running, 3, os.getpid(), "17_3")
        write(tmp_path, "c", "d")
    state = state_of(Run(tmp_path), "decompose")
    assert state is not None
    assert (state.doing, state.lines, state.passed) == (Doing.done, 6, 4)
    assert state.ended_s is not None
    assert state.ended_s >= state.started_s
    shutil.rmtree(tmp_path / "decompose")
    assert state_of(Run(tmp_path), "decompose") is None


@pytest.mark.parametrize(
    ("error", "doing", "said"),
    [
        (UserError("no room\nat all"), Doing.failed, "no room"),
        (Stopped(signal.SIGUSR1), Doing.stopped, "stopped by SIGUSR1"),
        (ZeroDivisionError("by zero"), Doing.failed, "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), Doing.failed, "KeyboardInterrupt"),
    ],
)
def test_state_records_error_in_one_line(error: BaseException, doing: Doing, said: str, tmp_path: Path) -> None:
    with pytest.raises(type(error)), recorded(Run(tmp_path), "decompose"):
        raise error
    state = state_of(Run(tmp_path), "decompose")
    assert state is not None
    assert state.doing is doing
    assert state.error.startswith(said)
    assert "\n" not in state.error


def test_state_stays_done_when_rerun_fails(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with recorded(Run(tmp_path), "decompose"):
        pass
    done = state_of(Run(tmp_path), "decompose")
    with pytest.raises(UserError), recorded(Run(tmp_path), "decompose"):
        raise UserError("made otherwise")
    assert state_of(Run(tmp_path), "decompose") == done
    (tmp_path / "evaluate").mkdir()  # more arms may have been asked for
    for doing in (Doing.done, Doing.failed):
        with suppress(UserError), recorded(Run(tmp_path), "evaluate"):
            if doing is Doing.failed:
                raise UserError("no such arm")
        state = state_of(Run(tmp_path), "evaluate")
        assert state is not None
        assert state.doing is doing


def test_state_names_log_file(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from aotd.store.run import Run
from aotd.store.state import recorded
with recorded(Run(Path({str(tmp_path)!r})), "gather"): pass
"""
    log, named = tmp_path / "log.txt", tmp_path / "named.txt"
    named.touch()
    (tmp_path / "load").mkdir()
    environment = {**os.environ, "AOTD_LOG": str(named)}
    with log.open("w") as errors:
        for file, found in ((errors, str(log)), (subprocess.PIPE, str(named))):
            subprocess.run([sys.executable, "-c", code], check=True, stderr=file, env=environment, cwd=ROOT)
            state = state_of(Run(tmp_path), "gather")
            assert state is not None
            assert state.log == found


def test_state_makes_no_missing_run(tmp_path: Path) -> None:
    for name in ("none", "x" * 300, "a\0b"):
        with pytest.raises(UserError, match="so"), recorded(Run(tmp_path / name), "decompose"):
            raise UserError("so")
    assert not list(tmp_path.iterdir())
    with recorded(Run(tmp_path / "new"), "load"):
        write(tmp_path / "new", "a")
    assert state_path(Run(tmp_path / "new"), "load").is_file()


def test_state_is_written_by_first_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with recorded(Run(tmp_path), "distill"):
        pass
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    (tmp_path / "distill").mkdir()
    with recorded(Run(tmp_path), "distill"):
        pass
    state = state_of(Run(tmp_path), "distill")
    assert state is not None
    assert (state.doing, state.lines) == (Doing.done, None)


@pytest.mark.parametrize("text", ["", "[]", '{"doing":"asleep","started_s":1}', '{"doing":"done","started_s":NaN}'])
def test_state_damaged_is_one_line(text: str, tmp_path: Path) -> None:
    path = state_path(Run(tmp_path), "load")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=r"state/load\.json is damaged .*: delete it"):
        state_of(Run(tmp_path), "load")


def test_state_is_plain_json(tmp_path: Path) -> None:
    with recorded(Run(tmp_path), "gather"):
        (tmp_path / "load").mkdir()
    assert json.loads(state_path(Run(tmp_path), "gather").read_text())["doing"] == "done"
