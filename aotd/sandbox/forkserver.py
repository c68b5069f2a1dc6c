"""The parent's hold on `child.py`: a warm process that forks a disposable one for each program.

Starting Python takes 20 ms, forking it two. One server has one program at a time. It runs as nobody where aotd runs as
root, and in bubblewrap's namespaces where `Layer.namespaces` is raised; the other layers are raised by each program's
process for itself.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotd.errors import UserError
from aotd.sandbox.layers import Layer, bubblewrap, interpreter, landlock_abi
from aotd.sandbox.seccomp import seccomp_filter

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
    """One warm process.

    Raises:
        UserError: it does not start.
    """

    def __init__(self, layers: Collection[Layer]) -> None:
        self._alone = Layer.namespaces in layers
        self._pid: int | None = None
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
        settings = {
            "alone": self._alone,
            "landlock": landlock_abi() if Layer.landlock in layers else 0,
            "rlimits": Layer.rlimits in layers,
            "seccomp": seccomp_filter().hex() if Layer.seccomp in layers else "",
        }
        try:
            self._ask(settings, START_S)
        except LostServerError:
            self.close()
            raise UserError(
                f"the sandbox's process does not start ({interpreter()}, layers: "
                f"{', '.join(sorted(layer.value for layer in layers)) or 'none'})"
            ) from None

    def fork(self, memory_bytes: int, cpu_s: int) -> socket.socket:
        """Start a process for a program; the socket leads to it.

        Raises:
            LostServerError: the server does not answer.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._pid = int(self._ask({"memory_bytes": memory_bytes, "cpu_s": cpu_s}, FORK_S, theirs)["pid"])
            except LostServerError:
                ours.close()
                raise
        return ours

    def end(self, grace_s: float) -> Ended:
        """End the program's process and all that it has started.

        Args:
            grace_s: how long it may take to end by itself.

        Raises:
            LostServerError: the server does not answer; both are killed.
        """
        try:
            found = self._ask({"grace_s": grace_s}, grace_s + CLEAR_S)
        except LostServerError:
            self.close()
            raise
        self._pid = None
        return Ended(**found)

    def _ask(self, message: dict[str, Any], seconds: float, wire: socket.socket | None = None) -> dict[str, Any]:
        data = json.dumps(message).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [wire.fileno()]))] if wire else []
        self._control.settimeout(seconds)
        found = b""
        try:
            self._control.sendmsg([data], rights)
            while not found.endswith(b"\n"):
                piece = self._control.recv(4096)
                if not piece:
                    raise LostServerError
                found += piece
            return dict(json.loads(found))
        except OSError:
            raise LostServerError from None

    def close(self) -> None:
        """Kill the server and its program."""
        self._control.close()
        if self._pid is not None and not self._alone:  # in namespaces of its own it dies with the server
            _kill_group(self._pid)
        _kill_group(self._process.pid)
        self._process.wait()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
