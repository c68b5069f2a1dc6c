"""What the sandbox makes of a folder of programs that try to get out of it, or to take more than their share.

    python benchmarks/hostile.py tests/sandbox/hostile
    python benchmarks/hostile.py tests/sandbox/hostile --unchecked

Runs every `.py` below the folder as `execute` would, on a small clip whose tools are `specialists.mock`. In a
program's text each word CANARY is replaced by the path of a file, as a Python string, and each word PORT by the
number of a local TCP port that listens; both are made afresh for each program. (The sandbox gives a program no
environment, and the check knows no names but its own, so the text is the only way in.)

An escape is: the file's secret in the answer, the reason or the trace; the file changed, or anything new beside
it; a connection; a process that is left when the program has ended; the process that ran it killed or stopped; an
end without a named outcome, or one that no file of a run could hold. An overrun is a program that took more than
half a second over its limit, the check included. `--unchecked` leaves out the syntax check, to see what the other
walls hold; give it nothing that would harm the machine.

A row per program, a table by folder, and in the last line JSON: `programs`, `escapes`, `overruns`, and their names.
The exit status is 1 where there are any. Needs Linux.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import ctypes
import json
import multiprocessing
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from aotd.records import Dropped, Trace
from aotd.sandbox.process import Limits, StoppedError, run_program
from aotd.specialists.base import Specialists
from aotd.specialists.mock import Mock, MockVideo
from aotd.video.clip import Clip

SECONDS = 1.0
"""A program's own time."""
GRACE = 0.5
"""Seconds over the limit that are not yet an overrun: starting the process, the tools, killing it."""
OPTIONS = ("The door.", "The book.", "The bag.")
QUESTION = "Which thing did the person open?"
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True)
class Row:
    """What came of one program."""

    name: str
    outcome: str
    reason: str
    seconds: float
    escapes: tuple[str, ...] = ()

    @property
    def overrun(self) -> bool:
        return self.seconds > SECONDS + GRACE


def measure(path: Path, name: str, checked: bool) -> Row:
    """Run one program in a process of its own, which it may try to kill."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        secret = secrets.token_hex(16)
        canary = Path(folder) / "canary.txt"
        canary.write_text(secret)
        canary.chmod(0o600)
        text = path.read_bytes().decode(errors="replace")
        code = planted(text, str(canary), listener.getsockname()[1])
        listener.setblocking(False)
        row = _in_worker(code, name, secret, checked)
        escapes = list(row.escapes)
        if [*Path(folder).iterdir()] != [canary]:
            escapes.append("made, moved or removed a file")
        elif canary.read_text(errors="replace") != secret or canary.stat().st_mode & 0o777 != 0o600:
            escapes.append("changed the file")
        with contextlib.suppress(BlockingIOError):
            listener.accept()[0].close()
            escapes.append("connected")
        return replace(row, escapes=tuple(escapes))


def planted(text: str, canary: str, port: int) -> str:
    """A program's text with the path and the port in it; quoted so that it can still be parsed, where that can be."""
    with_port = re.sub(r"\bPORT\b", str(port), text)
    texts = [re.sub(r"\bCANARY\b", lambda _, q=quote: f"{q}{canary}{q}", with_port) for quote in "'\""]
    return next((text for text in texts if _parses(text)), texts[0])


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _in_worker(code: str, name: str, secret: str, checked: bool) -> Row:
    ours, theirs = multiprocessing.Pipe()
    started = time.monotonic()
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(theirs, code, name, secret, checked))
    worker.start()
    theirs.close()
    row = None
    with contextlib.suppress(EOFError):
        if ours.poll(SECONDS + 10):
            row = ours.recv()
    seconds = time.monotonic() - started
    worker.kill()
    worker.join()
    ours.close()
    left = _reap()
    if row is None:
        return Row(
            name, "none", "the process that ran it was killed or stopped", seconds, ("killed or stopped its parent",)
        )
    return replace(row, escapes=(*row.escapes, "left a process")) if left else row


def _work(pipe: Connection, code: str, name: str, secret: str, checked: bool) -> None:
    _adopt()
    clip = Clip.whole(MockVideo("hostile", 8, 0.0, 8.0))
    mock = Mock(8)
    specialists = Specialists(mock, mock, mock, mock, mock)
    started = time.monotonic()
    escapes: list[str] = []
    record: Trace | Dropped
    try:
        done = run_program(code, clip, QUESTION, OPTIONS, specialists, Limits(seconds=SECONDS), checked=checked)
        outcome, reason, events = "answered", done.answer, done.events
    except StoppedError as error:
        outcome, reason, events = error.outcome.value, error.reason, error.events
    except BaseException as error:  # noqa: BLE001  what is to be found out: a program that brings down its parent
        outcome, reason, events = "none", f"{type(error).__name__}: {error}", ()
        escapes.append("ended without an outcome")
    seconds = time.monotonic() - started
    try:
        if outcome in ("answered", "none"):
            record = Trace(
                question_id="q", frames=8, start_s=0, end_s=8, width=64, height=48, events=events, answer=reason
            )
        else:
            record = Dropped(question_id="q", outcome=outcome, reason=reason)
        written = record.model_dump_json().encode()
    except ValueError as error:
        written = b""
        escapes.append(f"cannot be written: {error}")
    if secret.encode() in written + repr((reason, events)).encode(errors="replace"):
        escapes.append("read the file")
    if _reap():
        escapes.append("left a process")
    pipe.send(Row(name, outcome, reason, seconds, tuple(escapes)))


def _adopt() -> None:
    """Become the parent of what a program leaves behind, so that it is seen."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def _reap() -> bool:
    """Kill what is left below this process; whether anything lived on, and was not dying already."""
    alive = False
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for child in map(int, children):  # what is killed hands its own children up
            alive = not _dies(child) or alive
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return alive


def _dies(child: int) -> bool:
    """Whether a process is dead, or will be in a moment."""
    for _ in range(20):
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def by_group(rows: list[Row]) -> list[str]:
    """A Markdown table: how the programs of each folder ended."""
    outcomes = sorted({row.outcome for row in rows})
    lines = ["| group | programs | " + " | ".join(outcomes) + " | escapes | overruns |"]
    lines.append("|---" + "|---:" * (len(outcomes) + 3) + "|")
    groups = sorted({row.name.rpartition("/")[0] for row in rows})
    for group in [*groups, None]:
        some = [row for row in rows if group is None or row.name.rpartition("/")[0] == group]
        count = Counter(row.outcome for row in some)
        numbers = [len(some), *(count[outcome] for outcome in outcomes)]
        numbers += [sum(bool(row.escapes) for row in some), sum(row.overrun for row in some)]
        lines.append(f"| {'all' if group is None else group or '.'} | " + " | ".join(map(str, numbers)) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unchecked", action="store_true", help="leave out the syntax check")
    parser.add_argument("--rows", type=Path, help="write each program's row as a line of JSON to this file")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*.py") if path.is_file())
    if not paths:
        parser.error(f"no program lies below {arguments.folder}")
    _adopt()
    rows = []
    for path in paths:
        row = measure(path, path.relative_to(arguments.folder).with_suffix("").as_posix(), not arguments.unchecked)
        rows.append(row)
        said = "; ".join([*row.escapes, *(["overrun"] if row.overrun else [])]) or ascii(row.reason)[:90]
        print(f"{row.name:<40} {row.outcome:<16} {row.seconds:6.2f} s  {said}", flush=True)
    print("\n" + "\n".join(by_group(rows)) + "\n")
    if arguments.rows:
        arguments.rows.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    escaped, overran = [row.name for row in rows if row.escapes], [row.name for row in rows if row.overrun]
    result = {"programs": len(rows), "escapes": len(escaped), "overruns": len(overran)}
    print(json.dumps({**result, "escaped": escaped, "overran": overran}))
    sys.exit(1 if escaped or overran else 0)


if __name__ == "__main__":
    main()
