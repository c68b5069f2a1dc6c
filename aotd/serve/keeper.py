"""Runs a command, and ends with it all that it has started: a program of its own, `python keeper.py COMMAND …`.

A model's server is a family of processes (vLLM: one that listens, an engine, workers), some of them in sessions of
their own. Whichever of them dies, and whoever of those who wait for it, none may keep the memory of a GPU. On Linux
those that lose their parent are given to this process, so that it finds all of them; elsewhere it knows the command
alone. It ends them when the command ends, when it is told to, and when its standard input ends; that it does too when
the one who holds the other end is killed outright.

The standard library alone: it is there for as long as the server is.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

END_S = 2.0
"""What they have to end by themselves before they are killed."""
_LOOK_S = 0.1
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
"""Of Linux's prctl(2)."""


def main(command: list[str]) -> None:
    """Until the command and all under it have ended."""
    told: list[int] = []
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: told.append(number))
    _control(_CHILD_SUBREAPER, 1)
    child = _start(command)
    ended: set[int] = set()
    while not told and child not in ended and not select.select([sys.stdin], [], [], _LOOK_S)[0]:
        ended |= _reaped()
    asked: set[int] = set()
    give_up = time.monotonic() + END_S
    while left := _family(child, ended):
        late = time.monotonic() > give_up
        for pid in left if late else left - asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        asked |= left
        time.sleep(_LOOK_S)
        ended |= _reaped()


def _start(command: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _control(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(command[0], command)  # noqa: S606
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)
    return pid


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _reaped() -> set[int]:
    """Those of the children that have ended since the last look."""
    ended = set()
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended


def _family(child: int, ended: set[int]) -> set[int]:
    """The processes under this one that have not ended."""
    if sys.platform != "linux":
        return {child} - ended
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                below.setdefault(int(parent), []).append(int(stat.parent.name))
    found, new = set(), below.get(os.getpid(), [])
    while new:
        found |= set(new)
        new = [pid for parent in new for pid in below.get(parent, [])]
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
