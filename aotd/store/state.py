"""The state of a verb, in a small file that `aotd status` reads on any machine.

    runs/big/state/load.json
    runs/big/shards/3-of-4/state/execute.json

It is written atomically when a verb begins and when it ends. It stands beside the verbs' folders, since the bytes in
those do not depend on where and when a verb ran. A process that is killed outright does not write its end. Then the
file still says `running`, and the times of the verb's files tell when it last wrote a line.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aotd.errors import UserError, spelt_out
from aotd.runtime.signals import Stopped
from aotd.store.files import write_atomically
from aotd.store.run import Run
from aotd.store.untrusted import is_file

_MAKES = {"gather": "load", "report": "report.html"}
"""Verbs that write no folder of their own name -> what is there when they are done."""
_LONGEST = 2000
"""Characters of an error that are kept."""


class Doing(str, Enum):
    running = "running"
    done = "done"
    failed = "failed"
    stopped = "stopped"
    """By a signal: the same command goes on."""


class State(BaseModel):
    """The last start of a verb. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    doing: Doing
    started_s: float
    ended_s: float | None = None
    begun_with: int = 0
    """Questions that had a line when it began."""
    lines: int | None = None
    """done: questions that had a line when it ended."""
    passed: int | None = None
    """done: those of them that the next verb can take up."""
    host: str = ""
    pid: int = 0
    job: str = ""
    """SLURM's number of the job, with that of the task in an array; empty elsewhere."""
    log: str = ""
    """The file that standard error goes to; empty where it goes to none."""
    error: str = ""
    """failed, stopped: the line that was said."""


def state_path(run: Run, verb: str) -> Path:
    return run.folder / "state" / f"{verb}.json"


def state_of(run: Run, verb: str) -> State | None:
    """The state of a verb; None where there is none, or where its files are gone.

    Raises:
        UserError: the file is damaged.
    """
    path = state_path(run, verb)
    if not is_file(path):
        return None
    try:
        state = State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({error.errors()[0]['msg']}): delete it") from None
    made = run.stage(verb).manifest_path if state.lines is not None else run.folder / _MAKES.get(verb, verb)
    return state if state.doing is not Doing.done or made.exists() else None


@contextmanager
def recorded(run: Run, verb: str) -> Iterator[None]:
    """Record that a verb begins, and how it ends.

    No folder is made for this, so that a mistake in a run's name leaves nothing behind. A verb that was done before
    stays done when it is started again and fails.
    """
    if os.environ.get("RANK", "0") != "0":  # of several processes that train together, the first one tells
        yield
        return
    before = state_of(run, verb) if _there(run) else None
    state = State(
        doing=Doing.running,
        started_s=time.time(),
        begun_with=sum(_counts(run, verb) or (0, 0)),
        host=platform.node(),
        pid=os.getpid(),
        job=_job(),
        log=_log(),
    )
    if _there(run):
        _write(run, verb, state)
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, Stopped)
        said = spelt_out(str(error) if isinstance(error, UserError | Stopped) else f"{type(error).__name__}: {error}")
        how = {"doing": Doing.stopped if stopped else Doing.failed, "error": said[:_LONGEST]}
        if before is not None and before.doing is Doing.done and before.lines is not None:
            ended = before
        else:
            ended = state.model_copy(update={**how, "ended_s": time.time()})  # no time to count lines
        with suppress(UserError, OSError):  # a full disk, mostly, and that is what the error says
            if _there(run):
                _write(run, verb, ended)
        raise
    if _there(run):
        write_done(run, verb, state)


def write_done(run: Run, verb: str, state: State) -> None:
    """Record that a verb is done.

    Args:
        state: its start.
    """
    end: dict[str, Any] = {"doing": Doing.done, "ended_s": time.time()}
    if counts := _counts(run, verb):
        end |= {"lines": sum(counts), "passed": counts[0]}
    _write(run, verb, state.model_copy(update=end))


def _write(run: Run, verb: str, state: State) -> None:
    write_atomically(state_path(run, verb), state.model_dump_json() + "\n")


def _there(run: Run) -> bool:
    try:
        return run.folder.is_dir()
    except OSError:  # a name that no folder can have
        return False


def _counts(run: Run, verb: str) -> tuple[int, int] | None:
    """Records and dropped questions; None of a verb that writes no lines into its own folder."""
    stage = run.stage(verb)
    if not _there(run) or not stage.exists:
        return None
    return stage.count(), stage.count_dropped()


def _job() -> str:
    array = os.environ.get("SLURM_ARRAY_JOB_ID", "")
    task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")


def _log() -> str:
    """The file behind standard error, where the system or the batch script tells."""
    for name in ("/proc/self/fd/2", os.environ.get("AOTD_LOG", "")):
        with suppress(OSError):
            path = Path(name).resolve()
            if name and path.is_file():
                return str(path)
    return ""
