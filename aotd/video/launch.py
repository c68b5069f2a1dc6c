"""Starting the decoding process: it is ready, or nothing can be decoded on this machine.

What goes wrong before `aotd.video.worker` has said that it is ready (a library that is missing, too little memory,
walls that cannot be raised) says nothing about a file, since none has been read. It ends the run, in one line.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aotd.errors import UserError, spelt_out
from aotd.runtime.signals import SIGNALS
from aotd.sandbox.layers import Layer, landlock_abi, missing
from aotd.sandbox.seccomp import DECODING, seccomp_filter

START_S = 60.0
"""A process that takes longer to be ready is broken, unless a file may take longer as well; a busy network disk may
take long over the libraries."""
_WORKER = Path(__file__).with_name("worker.py")
_INHERITED = ("HOME", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")
"""What the decoding process may know of the environment: how to find its libraries, and no secrets."""
_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""One thread: walls that a process raises around itself stand around the thread that raises them."""
_READY = b'\x00\x00\x00\x0f{"ready": true}'
"""The first message of a process, byte for byte."""
_PRINTED = 4096
"""How much is kept of what a process prints: the end of it."""
_LONGEST = 300
"""How much of its last line is shown."""
_PIPE_BYTES = 1 << 20
"""What Linux lets everybody have. A usual pipe holds 64 KiB, and each side waits for the other some times a frame."""
_LAST_S = 1.0
"""How long a process that has closed its output may take to end, with the last that it prints."""


class _NotReadyError(Exception):
    """A process has not begun to serve; the message says how it ended."""

    def __init__(self, how: str, killed_by: int = 0) -> None:
        super().__init__(how)
        self.killed_by = killed_by
        """The signal with which somebody has ended it; 0 where it failed by itself."""


def start(deadline_s: float) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process that is ready to decode, and the socket to ask it by. One that somebody kills meanwhile is started
    once more.

    Args:
        deadline_s: how long a file may take.

    Raises:
        UserError: it does not begin to serve.
    """
    seconds = max(START_S, deadline_s)
    try:
        try:
            return _begin(seconds)
        except _NotReadyError as error:
            if not error.killed_by:
                raise
            return _begin(seconds)
    except _NotReadyError as error:
        killed = f"it was killed twice, at last by {signal.Signals(error.killed_by).name}" if error.killed_by else ""
        raise UserError(_told(killed or str(error))) from None
    except OSError as error:  # no memory, no process or no descriptor is left, or Python itself has gone
        raise UserError(_told(error.strerror or str(error))) from None


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, whatever it is doing."""
    assert process.stdout is not None
    process.kill()
    process.wait()
    process.stdout.close()


def from_outside(status: int) -> bool:
    """Whether a process that ended with this status was ended by somebody else."""
    return -status in (signal.SIGKILL, *SIGNALS)


def _begin(seconds: float) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """
    Raises:
        _NotReadyError: the process is not ready in time.
        OSError: there is none.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, str(_WORKER), json.dumps(_layers())],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _THREADS,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
        try:
            _await_ready(process, seconds)
        except BaseException:
            end(process)
            raise
    except BaseException:
        ours.close()
        raise
    assert process.stdout is not None
    _widen(process.stdout.fileno())
    return process, ours


def _widen(pipe: int) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # it stays as it is where the user has too much in pipes already
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _layers() -> dict[str, Any]:
    """The sandbox's layers that the process is to raise around itself: those that deny files, and that are here."""
    return {
        "landlock": landlock_abi(),
        "rlimits": False,  # it is handed descriptors, and has a limit on memory of its own
        "seccomp": "" if missing(Layer.seccomp) else seccomp_filter(DECODING).hex(),
    }


def _await_ready(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process says that it is ready.

    Raises:
        _NotReadyError: it ends, says something else, or is silent.
    """
    said, printed, ended = _hear(process, seconds)
    if said == _READY:
        return
    lines = [line.strip() for line in printed.decode(errors="replace").splitlines() if line.strip()]
    last = f", its last line: {spelt_out(lines[-1][:_LONGEST])}" if lines else ""
    if not _READY.startswith(said):
        raise _NotReadyError(f"it said something else first, {said[:40].decode(errors='replace')!r}{last}")
    if not ended:
        raise _NotReadyError(f"it was not ready within {seconds:g} s{last}")
    try:
        status = process.wait(_LAST_S)
    except subprocess.TimeoutExpired:
        raise _NotReadyError(f"it closed its output{last}") from None
    raise _NotReadyError(f"it ended with status {status}{last}", -status if from_outside(status) else 0)


def _hear(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes, bool]:
    """What a process says before it is ready, the end of what it prints, and whether it has closed its output.

    What it prints is read as it comes, so that it never waits for a reader. Once it is ready, nobody listens any
    more: it is about to read strangers' files.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    said, printed, ended = b"", b"", False
    until = time.monotonic() + seconds
    with process.stderr, selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
        while said != _READY and _READY.startswith(said) and selector.get_map():
            if (left := until - time.monotonic()) <= 0:
                break
            for key, _ in selector.select(left):
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                if key.fileobj is process.stderr:
                    printed = (printed + piece)[-_PRINTED:]
                    continue
                said += piece
                if not piece:
                    ended, until = True, min(until, time.monotonic() + _LAST_S)
    return said, printed, ended


def _told(how: str) -> str:
    """What is said where no process begins to serve."""
    python = shlex.quote(sys.executable)
    return (
        f"frames cannot be decoded on this machine: the decoding process did not start: {how}. Install aotd with all "
        f"it needs for {python}, or allow more memory (ulimit -v), and run the same command again; "
        f"`cd / && {python} -c 'import aotd.video.worker'` shows more"
    )
