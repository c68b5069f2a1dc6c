"""The parent's hold on `child.py`: a warm process that forks a disposable one for each program.

Starting Python takes 20 ms, forking it two, and the process for the next program is forked before there is one. A
server has one program at a time. It runs as nobody where aotd runs as root, and in bubblewrap's namespaces where
`Layer.namespaces` is raised; the other layers are raised by each program's process for itself.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotd.errors import UserError
from aotd.sandbox.layers import Layer, bubblewrap, interpreter, landlock_abi
from aotd.sandbox.seccomp import PROGRAM, seccomp_filter

_SCRIPT = Path(__file__).with_name("child.py").resolve()
START_S = 20.0
"""A server that takes longer to start is broken; a busy disk may take seconds over Python's library."""
FORK_S = 2.0
"""A server that takes longer to fork has died, or the machine has no memory left."""
CLEAR_S = 0.3
"""A server that takes longer to clear up behind a program has been stopped by it; another one is started."""


class LostServerError(Exception):
    """The server does not answer; it is of no more use."""


@dataclass(frozen=True)
class Ended:
    """How a program's process ended."""

    status: int | None
    """Exit status, negative for a signal; None where it was killed by us."""
    cpu_s: float


class ForkServer:
    """One warm process, and the process that it has forked for the next program."""

    def __init__(self, layers: Collection[Layer], memory_bytes: int, cpu_s: int) -> None:
        self._alone = Layer.namespaces in layers
        self._program: int | None = None
        """The program's process as it calls itself, once it has; another number in namespaces of its own."""
        self._clear_by: float | None = None
        """Until when the server must have said that it has ended the last program; None where it has."""
        self._control, theirs = socket.socketpair()
        words = bubblewrap(str(_SCRIPT)) if self._alone else []
        self._process = subprocess.Popen(
            [*words, interpreter(), "-B", "-S", "-s", str(_SCRIPT)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},  # a set that is given to a tool has the same order in every run
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        self._settings = {
            "alone": self._alone,
            "landlock": landlock_abi() if Layer.landlock in layers else 0,
            "rlimits": Layer.rlimits in layers,
            "seccomp": seccomp_filter(PROGRAM).hex() if Layer.seccomp in layers else "",
            "memory_bytes": memory_bytes,
            "cpu_s": cpu_s,
        }
        self._wire = self._control  # until a process has been forked
        self._layers = layers

    def begin(self) -> None:
        """Wait until it has started; several may start side by side.

        Raises:
            UserError: it does not.
        """
        try:
            self._tell(self._settings)
            self._hear(self._control, START_S)
            self._wire = self._fork({})
        except LostServerError:
            self.close()
            raise UserError(
                f"the sandbox's process does not start ({interpreter()}, layers: "
                f"{', '.join(sorted(layer.value for layer in self._layers)) or 'none'})"
            ) from None

    def _fork(self, message: dict[str, Any]) -> socket.socket:
        """Send the server a message with the wire of the next process, which it forks when it has done what it says."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._tell(message, theirs)
            except LostServerError:
                ours.close()
                raise
        return ours

    def program(self) -> socket.socket:
        """The process that waits for a program: the socket that leads to it.

        Raises:
            LostServerError: it has died, or the one before it could not be ended.
            UserError: it could not raise its layers.
        """
        if self._clear_by is not None:
            self.ended()
        message = self._hear(self._wire, FORK_S)  # it comes before anything is read of a program
        if "failed" in message:
            raise UserError(f"a layer of the sandbox could not be raised: {message['failed']}")
        self._program = int(message["pid"])
        return self._wire

    def end(self, grace_s: float = 0.0) -> None:
        """Have the program's process ended, with all that it has started, and the next one forked.

        Nobody waits for it: before the next program begins it is done, or the server is lost.

        Args:
            grace_s: how long it may take to end by itself.

        Raises:
            LostServerError: the server has died; both are killed.
        """
        try:
            self._wire = self._fork({"grace_s": grace_s})
        except LostServerError:
            self.close()
            raise
        self._clear_by = time.monotonic() + grace_s + CLEAR_S

    def ended(self) -> Ended:
        """How the process ended that was told to.

        Raises:
            LostServerError: the server does not answer; both are killed.
        """
        try:
            return self._cleared()
        except LostServerError:
            self.close()
            raise

    def _cleared(self) -> Ended:
        assert self._clear_by is not None
        left_s = max(self._clear_by - time.monotonic(), 0.001)
        self._clear_by = None
        found = self._hear(self._control, left_s)
        self._program = None
        return Ended(**found)

    def _tell(self, message: dict[str, Any], wire: socket.socket | None = None) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [wire.fileno()]))] if wire else []
        try:
            self._control.sendmsg([json.dumps(message).encode() + b"\n"], rights)
        except OSError:
            raise LostServerError from None

    @staticmethod
    def _hear(wire: socket.socket, seconds: float) -> dict[str, Any]:
        wire.settimeout(seconds)
        found = b""
        try:
            while not found.endswith(b"\n"):
                piece = wire.recv(4096)
                if not piece:
                    raise LostServerError
                found += piece
        except OSError:
            raise LostServerError from None
        return dict(json.loads(found))

    def close(self) -> None:
        """Kill the server and its program."""
        if self._clear_by is not None:
            with contextlib.suppress(LostServerError):
                self._cleared()
        self._control.close()
        self._wire.close()  # a process that still waits for its program ends at that
        if self._program is not None and not self._alone:  # in namespaces of its own it dies with the server
            _kill_group(self._program)
        _kill_group(self._process.pid)
        self._process.wait()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
