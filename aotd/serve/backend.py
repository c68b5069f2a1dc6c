"""The model's server, as a process that is started again when it ends or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from aotd.errors import UserError
from aotd.serve import keeper

KEYS = ("AOTD_API_KEY", "VLLM_API_KEY", "LLAMA_API_KEY")
"""Environment variables by which a server is told the key it is to want: ours, vLLM's and llama.cpp's."""
START_S = 1800.0
"""How long a server may take until it answers: weights of hundreds of GB, from a slow disk."""
HANGS_S = 60.0
"""A server that was up and says nothing for so long is ended."""
STARTS = 3
"""How often in a row it may end, or be ended, before it has answered once."""
_LOOK_S = 0.2
_ASK_S = 2.0
_STOPPED = "the server was told to stop"


class Backend:
    """A server on this machine that speaks the OpenAI protocol, kept running by a thread of its own."""

    def __init__(self, command: Sequence[str], port: int, key: str, log: Path, start_s: float = START_S) -> None:
        """Args:
        command: what starts it, a list of words.
        port: where it then listens, at 127.0.0.1.
        key: what it is told to want, in the environment (`KEYS`).
        log: what it prints is appended to this file.
        """
        self._command, self._log, self._start_s = list(command), log, start_s
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {**os.environ, **dict.fromkeys(KEYS, key)}
        self._client = httpx.Client(timeout=_ASK_S, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
        self._changed = threading.Condition()
        self._up = False
        self._ends = 0
        """How often it has ended."""
        self._closed = False
        self.failure = ""
        """Why it is not started any more; empty while it is."""
        self.model = ""
        """Its first model's name, once it has been up."""
        self._thread = threading.Thread(target=self._keep, name="backend", daemon=True)
        self._thread.start()

    def wait(self) -> int:
        """Wait until it is up; a number that tells this life of it from others.

        Raises:
            UserError: it is not started any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._up or self._closed or self.failure)
            if self._closed or not self._up:
                raise UserError(self.failure or _STOPPED)
            return self._ends

    def ended(self, life: int) -> bool:
        """Whether that life is over; it may take a moment until that is seen.

        Raises:
            UserError: it was told to stop: whoever was in it has not ended it.
        """
        with self._changed:
            over = self._changed.wait_for(lambda: self._ends != life or self._closed, timeout=10 * _LOOK_S)
            if self._closed:
                raise UserError(_STOPPED)
            return over

    def close(self) -> None:
        """End it for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._client.close()

    def _keep(self) -> None:
        in_a_row = 0
        while not self._closed and not self.failure:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-I", keeper.__file__, *self._command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                )
            was_up = self._live(process)
            self._end(process)
            in_a_row = 0 if was_up else in_a_row + 1
            if in_a_row == STARTS and not self._closed:
                with self._changed:
                    last = self._last_line()
                self.failure = f"{self._command[0]} ended {STARTS} times before it answered: see {self._log}{last}"
            with self._changed:
                self._up, self._ends = False, self._ends + 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, timeout=min(2.0**in_a_row, 30.0) - 1.0)

    def _last_line(self) -> str:
        """What it printed last, if anything: mostly, why it has ended."""
        with self._log.open("rb") as file:
            file.seek(max(self._log.stat().st_size - 4096, 0))
            lines = file.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f", whose last line is: {said[-1][:500]}" if said else ""

    def _live(self, process: subprocess.Popen[bytes]) -> bool:
        """From its start to its end, or to where it hangs; whether it was up."""
        heard = started = time.monotonic()
        asked = 0.0
        while process.poll() is None and not self._closed:
            now = time.monotonic()
            if now - heard > (HANGS_S if self._up else self._start_s):
                break
            if now - asked > (_ASK_S if self._up else _LOOK_S):
                asked = now
                if self.answers():
                    heard = time.monotonic()
                    if not self._up:
                        with self._changed:
                            self._up = True
                            self._changed.notify_all()
            time.sleep(_LOOK_S)
        return heard != started

    def answers(self) -> bool:
        """Whether it says that it is there and well."""
        try:
            # One whose engine has died may list its models all the same. This path is told by vLLM, llama.cpp and
            # others; a server without it says 404 or the like.
            if self._client.get(f"{self.url}/health").status_code >= 500:
                return False
            response = self._client.get(f"{self.url}/v1/models")
            if response.status_code == 200:
                self.model = self.model or str(response.json()["data"][0]["id"])
                return True
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            pass  # not up yet, or another server that has that port
        return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End it and what it has started."""
        assert process.stdin is not None
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(2 * keeper.END_S)
        with suppress(ProcessLookupError):  # where its keeper cannot find all of them, or was killed itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
