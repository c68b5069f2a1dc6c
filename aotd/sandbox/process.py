"""The parent's side of the wall: runs a program in a process of its own, and answers its calls of tools.

Around that process stand the layers of `layers`; outside it a clock that stands still while a tool works. What each
wall stops: `docs/sandbox.md`.
"""

from __future__ import annotations

import contextlib
import json
import select
import time
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from aotd.errors import QuestionError, UserError
from aotd.records import Detection, Outcome
from aotd.sandbox.check import InvalidProgramError, check
from aotd.sandbox.forkserver import ForkServer, LostServerError
from aotd.sandbox.layers import Layer
from aotd.tools.toolbox import ToolError, ToolSession
from aotd.video.clip import Clip

DEEPEST = 32
"""How deeply lists and dicts in a tool's arguments may be nested; the parent walks them by recursion."""

IN_ALL = 4
"""All that a program sends may be this many times as long as its longest message; the trace keeps what it asks."""

EXIT_S = 0.2
"""How long a process that has shut its wire may take to end."""


@dataclass
class Limits:
    """What one program may use."""

    seconds: float = 10.0
    """Wall-clock time of the program itself; the time tools take is not counted."""
    memory_mb: int = 512
    """Address space of its process."""
    calls: int = 64
    """Tool calls."""
    message_kb: int = 256
    """Longest message it may send: one call with its arguments, or the answer."""


class Sandbox:
    """Where programs run. As a context manager it starts a warm process at once, and ends all of them at last.

    Args:
        layers: what stands around a program's process besides the walls that are always there; see `layers.raised`.
        checked: False leaves out the syntax check, to measure what the other walls hold by themselves.
    """

    def __init__(self, limits: Limits, layers: Collection[Layer], *, checked: bool = True) -> None:
        self._limits, self._layers, self._checked = limits, frozenset(layers), checked
        self._idle: deque[ForkServer] = deque()
        """The one whose program ended first is taken next: it has had most time to clear up behind it."""
        self._spare: Future[None] | None = None
        # bubblewrap ends with the thread that has started it, so all are started by one that stays.
        self._starting = ThreadPoolExecutor(1, "sandbox")

    def run(self, code: str, clip: Clip, query: str, options: tuple[str, ...], tools: ToolSession) -> str:
        """Check a program, and run it on a clip.

        Its author has checked it before; but a run's folder may come from a stranger, so no program starts unchecked.
        Several threads may run programs at the same time.

        Args:
            tools: what it may call; holds the trace afterwards.

        Returns:
            The program's answer.

        Raises:
            QuestionError: the program or a tool ended in a named outcome.
        """
        if self._checked:
            try:
                check(code, tools.toolbox)
            except InvalidProgramError as error:
                raise QuestionError(Outcome.program_invalid, str(error)) from None
        for _ in range(2):
            with contextlib.suppress(LostServerError):  # it was killed, for want of memory or with the whole job
                return self._run(code, clip, query, options, tools)
            tools.clear()
        raise QuestionError(Outcome.program_error, "its process was lost twice, with the one that started it")

    def _run(self, code: str, clip: Clip, query: str, options: tuple[str, ...], tools: ToolSession) -> str:
        handles: list[Clip] = [clip]
        child = self._start()
        try:
            child.send(
                {
                    "code": code,
                    "tools": list(tools.toolbox.names),
                    "clip": _encode(clip, handles),
                    "query": query,
                    "possible_answers": list(options),
                }
            )
            while True:
                message = child.receive()
                if "call" not in message:
                    return _answer(message)
                if tools.calls == self._limits.calls:
                    raise QuestionError(Outcome.program_limit, f"more than {self._limits.calls} tool calls")
                child.send(_reply(tools, message, handles))
        finally:
            if child.end():
                self._idle.append(child.server)

    def _start(self) -> _Child:
        """A process for a program, from a server that waits for one, or from a new one."""
        # A second server, so that programs one after another need not wait until the first has cleared up.
        self._spare = self._spare or self._starting.submit(self._add_spare)
        with contextlib.suppress(IndexError):  # none is idle
            while True:
                server = self._idle.popleft()
                try:
                    return _Child(server, self._limits)
                except LostServerError:
                    server.close()
        try:
            return _Child(self._serve(), self._limits)
        except LostServerError:
            raise UserError("a process of the sandbox does not start; is the machine out of memory?") from None

    def _serve(self) -> ForkServer:
        server = self._starting.submit(self._new).result()
        server.begin()
        return server

    def _new(self) -> ForkServer:
        return ForkServer(self._layers, self._limits.memory_mb << 20, int(self._limits.seconds) + 1)

    def _add_spare(self) -> None:
        server = self._new()
        with contextlib.suppress(UserError):  # whoever cannot do without says so
            server.begin()
            self._idle.append(server)

    def close(self) -> None:
        """End the warm processes."""
        self._starting.shutdown()
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Sandbox:
        self._idle.append(self._serve())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _answer(message: dict[str, Any]) -> str:
    if isinstance(message.get("end"), str):
        if message["end"].strip():
            return str(message["end"])
        raise QuestionError(Outcome.no_answer, "returned an empty answer")
    if "no_answer" in message:
        raise QuestionError(Outcome.no_answer, str(message["no_answer"])[:300])
    if "memory" in message:
        raise QuestionError(Outcome.program_memory, "ran out of memory")
    if "error" in message:
        line = f"line {message['line']}: " if isinstance(message.get("line"), int) else ""
        raise QuestionError(Outcome.program_error, f"{line}{str(message['error'])[:500]}")
    raise QuestionError(Outcome.program_error, "sent a message that is not one of the protocol's")


def _reply(tools: ToolSession, message: dict[str, Any], handles: list[Clip]) -> dict[str, Any]:
    try:
        name = str(message["call"])
        arguments = [_decode(item, handles) for item in message["arguments"]]
        keywords = {str(key): _decode(item, handles) for key, item in message["keywords"].items()}
    except (KeyError, TypeError, AttributeError, ValueError, ValidationError):
        raise QuestionError(Outcome.program_error, "sent a call that is not one of the protocol's") from None
    except ToolError as error:
        tools.calls += 1
        return {"error": str(error)}
    try:
        return {"result": _encode(tools.call(name, arguments, keywords), handles)}
    except ToolError as error:
        return {"error": f"{name}: {error}"}
    except (QuestionError, UserError):
        raise
    except Exception as error:  # the sandbox's edge: a crashed specialist is an outcome, not "nothing found"
        raise QuestionError(Outcome.tool_failed, f"{name}: {type(error).__name__}: {error}"[:500]) from error


def _encode(value: Any, handles: list[Clip]) -> Any:
    if isinstance(value, Clip):
        handles.append(value)
        return {"!": "clip", "handle": len(handles) - 1, "frames": list(value.numbers)}
    if isinstance(value, Detection):
        return {"!": "box", **value.model_dump()}
    if isinstance(value, list | tuple):
        return [_encode(item, handles) for item in value]
    return value


def _decode(value: Any, handles: list[Clip], depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ToolError(f"was given a value nested more than {DEEPEST} deep")
    if isinstance(value, list):
        return [_decode(item, handles, depth + 1) for item in value]
    if isinstance(value, dict):
        if value.get("!") == "clip":
            handle = value["handle"]
            if isinstance(handle, bool) or not isinstance(handle, int) or not 0 <= handle < len(handles):
                raise ToolError("not a clip of this program")
            return handles[handle]
        if value.get("!") == "box":
            return Detection(frame=value["frame"], box=value["box"], label=value["label"], score=value["score"])
        return {str(key): _decode(item, handles, depth + 1) for key, item in value["items"]}
    return value


class _Child:
    """One program's process and the socket to it."""

    def __init__(self, server: ForkServer, limits: Limits) -> None:
        self.server = server
        self._limits = limits
        self._left_s = limits.seconds
        self._buffer = b""
        self._received = 0
        self._ending = False
        """Whether its server has the order to end it."""
        self._lost = False
        self._wire = server.program()
        self._wire.setblocking(False)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a program that does not read it spends its own time."""
        started = time.monotonic()
        data = memoryview(json.dumps(message).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # receive says how it died
            while data:
                self._wait(select.POLLOUT, started)
                data = data[self._wire.send(data) :]
        self._left_s -= time.monotonic() - started

    def receive(self) -> dict[str, Any]:
        """The next message; the program's clock runs while it is waited for."""
        started = time.monotonic()
        while b"\n" not in self._buffer:
            self._wait(select.POLLIN, started)
            chunk = self._read()
            if not chunk:
                raise self._died()
            self._buffer += chunk
            self._received += len(chunk)
            if len(self._buffer) > self._limits.message_kb << 10:
                raise QuestionError(Outcome.program_limit, f"sent a message of more than {self._limits.message_kb} kB")
            if self._received > IN_ALL * self._limits.message_kb << 10:
                raise QuestionError(
                    Outcome.program_limit, f"sent more than {IN_ALL * self._limits.message_kb} kB in all"
                )
        self._left_s -= time.monotonic() - started
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            text = line.decode()
            message = json.loads(text)
            if "\\u" in text:
                json.dumps(message, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half a surrogate pair, which can only be escaped, and no file of a run could hold
            raise QuestionError(Outcome.program_error, "sent text that is not Unicode") from None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise QuestionError(Outcome.program_error, "sent a message that is not one of the protocol's")
        return message

    def _wait(self, event: int, started: float) -> None:
        """Wait until the wire can be read or written; the program's clock has run since it `started`."""
        left_s = self._left_s - (time.monotonic() - started)
        ready = select.poll()
        ready.register(self._wire, event)
        if left_s <= 0 or not ready.poll(1000 * left_s):
            reason = f"still running after {self._limits.seconds:g} s of its own time"
            raise QuestionError(Outcome.program_timeout, reason)

    def _read(self) -> bytes:
        try:
            return self._wire.recv(65536)
        except ConnectionResetError:  # it has ended without reading all that was sent
            return b""

    def _died(self) -> QuestionError:
        if not self.end(EXIT_S):
            raise LostServerError
        try:
            ended = self.server.ended()
        except LostServerError:
            self._lost = True
            raise
        if ended.status is None:
            return QuestionError(Outcome.program_error, "closed its end of the wire")
        if ended.status in (-24, -9) and ended.cpu_s > self._limits.seconds:  # SIGXCPU, then SIGKILL
            return QuestionError(
                Outcome.program_timeout, f"used more than {self._limits.seconds:g} s of processor time"
            )
        if ended.status == -9:
            return QuestionError(Outcome.program_memory, "was killed by the system, most likely for want of memory")
        return QuestionError(Outcome.program_error, f"its process ended with status {ended.status}")

    def end(self, grace_s: float = 0.0) -> bool:
        """Have the process ended, once; whether its server can serve another program."""
        self._wire.close()
        if not self._ending:
            self._ending = True
            try:
                self.server.end(grace_s)
            except LostServerError:
                self._lost = True
        return not self._lost
