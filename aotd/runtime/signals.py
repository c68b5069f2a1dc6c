"""Signals that ask to stop: files are synced, and the process ends within seconds.

SIGTERM and SIGUSR1, which SLURM and others send some time before they kill, and SIGINT (Ctrl-C) raise `Stopped` in the
main thread. Stages close their files as it passes, and the command line ends with status 128 + signal. If that takes
longer than `GRACE_S`, because a call in C does not return or a thread cannot be stopped, a second thread syncs the
files and ends the process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE_S = 3.0
"""Seconds that the main thread may take to end by itself."""


class Stopped(BaseException):
    """A signal has come. Only the command line catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f"stopped by {name}; the same command goes on where it left off"


_told: int | None = None
_listening = False
_patient = False
"""Whether the main thread ends in its own time: a training first saves a checkpoint."""


def stopping() -> bool:
    """Whether a signal has come, so that nobody need wait for threads."""
    return _told is not None


@contextmanager
def patience() -> Iterator[None]:
    """Only note a signal (`stopping`); the code in this block checks for it and ends when it can."""
    global _patient
    before, _patient = _patient, True
    try:
        yield
    finally:
        _patient = before


def tell(number: int, frame: FrameType | None = None) -> None:
    """Handle a signal. A second one is ignored while the process is ending: `scancel --full` signals a batch script as
    well as us, and the script passes its signal on."""
    global _told
    again, _told = _told is not None, number
    if not _patient and not again:
        raise Stopped(number)


def check() -> None:
    """
    Raises:
        Stopped: a signal has come while there was `patience`.
    """
    if _told is not None:
        raise Stopped(_told)


@contextmanager
def listening() -> Iterator[None]:
    """Have signals raise `Stopped` in this block. Only the main thread can receive them."""
    global _told, _listening
    if threading.current_thread() is not threading.main_thread() or _listening:
        yield
        return
    before, _listening = {number: signal.signal(number, tell) for number in SIGNALS}, True
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _told, _listening = None, False


@contextmanager
def gone_in_time(make_safe: Callable[[], object]) -> Iterator[None]:
    """`listening`; a process that has not ended `GRACE_S` after a signal is ended.

    Args:
        make_safe: syncs what is written, before the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Python's handlers wait until the main thread comes back from C; the byte that is sent here does not.
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_see_to_it, args=(ours, make_safe), daemon=True).start()
    try:
        with listening():
            yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()


def leave(told: Stopped, make_safe: Callable[[], object]) -> int:
    """Say that the process was stopped, and return its exit status. If a thread would keep it alive, end it here."""
    _wind_up(told, make_safe)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.current_thread()):
        os._exit(128 + told.number)
    return 128 + told.number


def _wind_up(told: Stopped, make_safe: Callable[[], object]) -> None:
    try:
        make_safe()
    finally:
        for child in multiprocessing.active_children():
            child.kill()
        print(f"aotd: {told}", file=sys.stderr, flush=True)  # noqa: T201
        sys.stdout.flush()


def _see_to_it(signals: socket.socket, make_safe: Callable[[], object]) -> None:
    """Wait for a signal, then for the main thread to end; end the process if it does not."""
    with signals:
        while came := signals.recv(1):
            if came[0] in SIGNALS:
                time.sleep(GRACE_S)
                if _listening and not _patient:
                    try:
                        _wind_up(Stopped(came[0]), make_safe)
                    finally:
                        os._exit(128 + came[0])
