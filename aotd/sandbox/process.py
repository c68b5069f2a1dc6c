"""The parent's side of the wall: starts the program's process, answers its calls, writes the trace, kills it.

Walls so far: the syntax check, a fresh `python -I -S` per program with an empty environment, its own
session, no file it can grow, limits on address space and processor time, and a clock outside it that
stands still while a tool works. Kernel layers (seccomp, Landlock, namespaces) are not here yet; see
`docs/sandbox.md`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aotd.errors import QuestionError, UserError
from aotd.records import Detection, Event, Outcome
from aotd.sandbox.check import InvalidProgramError, check
from aotd.sandbox.tools import ToolError, Tools, call, signatures, specialist_calls, trace
from aotd.specialists.base import Specialists
from aotd.video.clip import Clip

_CHILD = Path(__file__).with_name("child.py")

DEEPEST = 32
"""How deeply lists and dicts in a tool's arguments may be nested; the parent walks them by recursion."""

IN_ALL = 4
"""All that a program sends may be this many times as long as its longest message; the trace keeps what it asks."""


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


@dataclass(frozen=True)
class Calls:
    """How much a program asked for."""

    tools: int = 0
    """Tool calls, those that failed included."""
    specialists: int = 0
    """Those of them for which a specialist was asked."""


@dataclass(frozen=True)
class Run:
    """What came of a program that ended by itself."""

    answer: str
    events: tuple[Event, ...]
    calls: Calls


class StoppedError(QuestionError):
    """A program, or a tool it called, ended in a named outcome; `events` is the trace so far."""

    def __init__(self, ended: QuestionError, events: tuple[Event, ...], calls: Calls) -> None:
        super().__init__(ended.outcome, ended.reason)
        self.events, self.calls = events, calls


def run_program(
    code: str,
    clip: Clip,
    query: str,
    options: tuple[str, ...],
    specialists: Specialists,
    limits: Limits,
    *,
    checked: bool = True,
) -> Run:
    """Check a program, and run it on a clip.

    Its author has checked it before; but a run's folder may come from a stranger, so no program starts unchecked.

    Args:
        checked: False leaves out the syntax check, to measure what the other walls hold by themselves.

    Raises:
        StoppedError: the program or a tool ended in a named outcome.
    """
    if checked:
        try:
            check(code)
        except InvalidProgramError as error:
            raise StoppedError(QuestionError(Outcome.program_invalid, str(error)), (), Calls()) from None
    tools = Tools(specialists)
    handles: list[Clip] = [clip]
    child = _Child(limits)
    calls = 0
    try:
        child.send(
            {
                "code": code,
                "tools": list(signatures()),
                "clip": _encode(clip, handles),
                "query": query,
                "possible_answers": list(options),
                "memory_bytes": limits.memory_mb << 20,
                "cpu_s": int(limits.seconds) + 1,
            }
        )
        while True:
            message = child.receive()
            if "call" not in message:
                return Run(_answer(message), trace(tools), Calls(calls, specialist_calls(tools)))
            if calls == limits.calls:
                raise QuestionError(Outcome.program_limit, f"more than {limits.calls} tool calls")
            calls += 1
            child.send(_reply(tools, message, handles))
    except QuestionError as error:
        raise StoppedError(error, trace(tools), Calls(calls, specialist_calls(tools))) from error
    finally:
        child.kill()


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


def _reply(tools: Tools, message: dict[str, Any], handles: list[Clip]) -> dict[str, Any]:
    try:
        name = str(message["call"])
        arguments = [_decode(item, handles) for item in message["arguments"]]
        keywords = {str(key): _decode(item, handles) for key, item in message["keywords"].items()}
    except (KeyError, TypeError, AttributeError, ValueError, ValidationError):
        raise QuestionError(Outcome.program_error, "sent a call that is not one of the protocol's") from None
    except ToolError as error:
        return {"error": str(error)}
    try:
        return {"result": _encode(call(tools, name, arguments, keywords), handles)}
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
    """One program's process and the two pipes to it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left_s = limits.seconds
        self._buffer = b""
        self._received = 0
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        os.set_blocking(self._in.fileno(), False)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a program that does not read it spends its own time."""
        started = time.monotonic()
        data = memoryview(json.dumps(message).encode() + b"\n")
        with selectors.DefaultSelector() as selector, contextlib.suppress(BrokenPipeError):  # receive says how it died
            selector.register(self._in, selectors.EVENT_WRITE)
            while data:
                left = self._left_s - (time.monotonic() - started)
                if left <= 0 or not selector.select(left):
                    raise self._too_long()
                data = data[os.write(self._in.fileno(), data[: select.PIPE_BUF]) :]
        self._left_s -= time.monotonic() - started

    def receive(self) -> dict[str, Any]:
        """The next message; the program's clock runs while it is waited for."""
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = self._left_s - (time.monotonic() - started)
                if left <= 0 or not selector.select(left):
                    raise self._too_long()
                chunk = os.read(self._out.fileno(), 65536)
                if not chunk:
                    raise self._died(left)
                self._buffer += chunk
                self._received += len(chunk)
                if len(self._buffer) > self._limits.message_kb << 10:
                    raise QuestionError(
                        Outcome.program_limit, f"sent a message of more than {self._limits.message_kb} kB"
                    )
                if self._received > IN_ALL * self._limits.message_kb << 10:
                    raise QuestionError(
                        Outcome.program_limit, f"sent more than {IN_ALL * self._limits.message_kb} kB in all"
                    )
        self._left_s -= time.monotonic() - started
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            message = json.loads(line)
            json.dumps(message, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half a surrogate pair, which no file of a run could hold
            raise QuestionError(Outcome.program_error, "sent text that is not Unicode") from None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise QuestionError(Outcome.program_error, "sent a message that is not one of the protocol's")
        return message

    def _too_long(self) -> QuestionError:
        return QuestionError(Outcome.program_timeout, f"still running after {self._limits.seconds:g} s of its own time")

    def _died(self, left_s: float) -> QuestionError:
        try:
            code = self._process.wait(left_s)
        except subprocess.TimeoutExpired:  # it has only closed its end
            return self._too_long()
        if code in (-24, -9):  # SIGXCPU, then SIGKILL at the hard limit
            return QuestionError(
                Outcome.program_timeout, f"used more than {self._limits.seconds:g} s of processor time"
            )
        return QuestionError(Outcome.program_error, f"its process ended with status {code}")

    def kill(self) -> None:
        """Kill the process and what it has forked; only what has left its session lives on."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the second where all are dead
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._out.close()
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
