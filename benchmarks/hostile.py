"""What the sandbox makes of a folder of programs that try to get out of it, or to take more than their share.

    python benchmarks/hostile.py tests/sandbox/hostile
    python benchmarks/hostile.py tests/sandbox/hostile --alone
    python benchmarks/hostile.py tests/sandbox/hostile --walls seccomp,landlock

Runs every `.py` below the folder as `execute` would, behind all walls that this machine has, on a small clip whose
tools are `specialists.mock`. A program is told of a file in the variable CANARY, of the number of a local TCP port that
listens in PORT, and of the process that runs it in PARENT. All are made afresh for each program and stand as plain
values wherever the word is in its text: the sandbox gives a program no environment, and the check knows no names but
its own. The process that runs the program has the same in its environment.

An escape is: the file's secret in the answer, the reason or the trace; the file changed, or anything new beside
it; a connection; a process that is left when the program has ended; the process that ran it killed or stopped; an
end without a named outcome, or one that no file of a run could hold. An overrun is a program that took more than
half a second over its limit, the check included. The program, the file and the process that runs the program belong to
the same user, so that it is the walls that hold and not the owners of files.

`--alone` runs the folder once more behind each wall by itself: the syntax check, and each layer. Not every wall is
there for everything (`BEYOND` says what a layer is not there for): such an escape is counted by itself. `--walls` takes
the walls that are named and no others. Give these two nothing that would harm the machine.

A row per program, a table by folder, one by walls, and in the last line JSON: `programs`, `escapes`, `overruns`, their
names, and `beyond`. The exit status is 1 where there is an escape or an overrun. Needs Linux.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import ctypes
import encodings.unicode_escape  # noqa: F401  nobody may not be able to read Python's library
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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from aotd.errors import QuestionError
from aotd.records import Dropped, Trace
from aotd.sandbox.layers import Layer, missing
from aotd.sandbox.process import Limits, Sandbox
from aotd.specialists.mock import Mock, MockVideo
from aotd.specialists.protocols import Specialists
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip

SECONDS = 1.0
"""A program's own time."""
GRACE = 0.5
"""Seconds over the limit that are not yet an overrun: starting the process, the tools, killing it."""
OPTIONS = ("The door.", "The book.", "The bag.")
QUESTION = "Which thing did the person open?"
_SUBREAPER, _DUMPABLE = 36, 4  # of prctl(2)


CHECK = "check"
"""The syntax check, as a wall beside the layers."""
NOBODY = 65534
READ, CHANGED, MADE = "read the file", "changed the file", "made, moved or removed a file"
CONNECTED, LEFT, STOPPED = "connected", "left a process", "killed or stopped its parent"
NO_OUTCOME = "ended without an outcome"
BEYOND: Mapping[str, tuple[str, ...]] = {
    "rlimits": (CHANGED, MADE, STOPPED, NO_OUTCOME),
    "landlock": (CHANGED, NO_OUTCOME),
}
"""What a wall that stands alone cannot keep a program from. Limits know no names of files and no signals, Landlock no
modes, owners and times of files; neither keeps it from setting limits on a process of the same user."""


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
        return self.seconds > SECONDS + GRACE and STOPPED not in self.escapes  # the clock itself was stopped


def measure(path: Path, name: str, walls: frozenset[str]) -> Row:
    """Run one program behind some walls, in a process of its own, which it may try to kill."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        secret = secrets.token_hex(16)
        canary = Path(folder) / "canary.txt"
        canary.write_text(secret)
        canary.chmod(0o600)
        if _nobody(walls):
            os.chown(folder, NOBODY, NOBODY)
            os.chown(canary, NOBODY, NOBODY)
        text = path.read_bytes().decode(errors="replace")
        listener.setblocking(False)
        row = _in_worker(text, str(canary), listener.getsockname()[1], name, secret, walls)
        escapes = list(row.escapes)
        if [*Path(folder).iterdir()] != [canary]:
            escapes.append(MADE)
        elif canary.read_text(errors="replace") != secret or canary.stat().st_mode & 0o777 != 0o600:
            escapes.append(CHANGED)
        with contextlib.suppress(BlockingIOError):
            listener.accept()[0].close()
            escapes.append(CONNECTED)
        return replace(row, escapes=tuple(escapes))


def planted(text: str, canary: str, port: int, parent: int) -> str:
    """A program's text with what it is told, the path quoted so that it can still be parsed, where that can be.

    A word in quotes by itself (`os.environ["CANARY"]`) is left as it is.
    """
    for word, value in (("PORT", port), ("PARENT", parent)):
        text = re.sub(rf"(?<!['\"])\b{word}\b(?!['\"])", str(value), text)
    quoted = [f"{quote}{canary}{quote}" for quote in "'\""]
    word = r"(?<!['\"])\bCANARY\b(?!['\"])"
    texts = [re.sub(word, lambda _, path=path: path, text) for path in quoted]
    return next((text for text in texts if _parses(text)), texts[0])


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _in_worker(text: str, canary: str, port: int, name: str, secret: str, walls: frozenset[str]) -> Row:
    ours, theirs = multiprocessing.Pipe()
    started = time.monotonic()
    worker = multiprocessing.get_context("fork").Process(
        target=_work, args=(theirs, text, canary, port, name, secret, walls)
    )
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
        return Row(name, "none", "the process that ran it was killed or stopped", seconds, (STOPPED,))
    return replace(row, escapes=(*row.escapes, LEFT)) if left else row


def _work(pipe: Connection, text: str, canary: str, port: int, name: str, secret: str, walls: frozenset[str]) -> None:
    _adopt()
    os.environ.update(CANARY=canary, PORT=str(port), PARENT=str(os.getpid()))
    code = planted(text, canary, port, os.getpid())
    clip = Clip.whole(MockVideo("hostile", 8, 0.0, 8.0))
    mock = Mock(8)
    tools = ToolSession(VIDEO_TOOLS, Specialists.from_one(mock))
    escapes: list[str] = []
    record: Trace | Dropped
    layers = [Layer(wall) for wall in walls - {CHECK}]
    with Sandbox(Limits(seconds=SECONDS), layers, checked=CHECK in walls) as sandbox:
        if _nobody(walls):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            ctypes.CDLL(None).prctl(_DUMPABLE, 1, 0, 0, 0)  # as a user's own processes are
        started = time.monotonic()
        try:
            outcome, reason = "answered", sandbox.run(code, clip, QUESTION, OPTIONS, tools)
        except QuestionError as error:
            outcome, reason = error.outcome.value, error.reason
        except KeyboardInterrupt:
            outcome, reason = "none", "interrupted by its program"
            escapes.append(STOPPED)
        except BaseException as error:  # noqa: BLE001  what is to be found out: a program that brings down its parent
            outcome, reason = "none", f"{type(error).__name__}: {error}"
            escapes.append(NO_OUTCOME)
        seconds = time.monotonic() - started
    try:
        if outcome in ("answered", "none"):
            record = Trace(
                question_id="q", frames=8, start_s=0, end_s=8, width=64, height=48, events=tools.events, answer=reason
            )
        else:
            record = Dropped(question_id="q", outcome=outcome, reason=reason)
        written = record.model_dump_json().encode()
    except ValueError as error:
        written = b""
        escapes.append(f"cannot be written: {error}")
    if secret.encode() in written + repr((reason, tools.events)).encode(errors="replace"):
        escapes.append(READ)
    if _reap():
        escapes.append(LEFT)
    pipe.send(Row(name, outcome, reason, seconds, tuple(escapes)))


def _nobody(walls: frozenset[str]) -> bool:
    """Whether the program runs as nobody: as root, but not in namespaces, where it is root without a right."""
    return os.geteuid() == 0 and Layer.namespaces.value not in walls


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


def by_walls(runs: Mapping[str, list[Row]]) -> list[str]:
    """A Markdown table: how the programs ended behind each set of walls."""
    lines = ["| walls | programs | refused | stopped | answered | escapes | beyond it | overruns |"]
    lines.append("|---" + "|---:" * 7 + "|")
    for name, rows in runs.items():
        count = Counter(row.outcome for row in rows)
        refused, answered = count["program_invalid"], count["answered"]
        numbers = [len(rows), refused, len(rows) - refused - answered, answered]
        numbers += [len(escaped(name, rows)), len(beyond(name, rows)), sum(row.overrun for row in rows)]
        lines.append(f"| {name} | " + " | ".join(map(str, numbers)) + " |")
    return lines


def escaped(walls: str, rows: list[Row]) -> list[str]:
    """The programs that got past walls which are there to hold them."""
    return [row.name for row in rows if {*row.escapes} - {*BEYOND.get(walls, ())}]


def beyond(walls: str, rows: list[Row]) -> list[str]:
    """The programs that did only what such walls cannot keep them from."""
    return [row.name for row in rows if row.escapes and row.name not in escaped(walls, rows)]


def run_all(paths: list[Path], folder: Path, walls: frozenset[str]) -> list[Row]:
    rows = []
    for path in paths:
        row = measure(path, path.relative_to(folder).with_suffix("").as_posix(), walls)
        rows.append(row)
        said = "; ".join([*row.escapes, *(["overrun"] if row.overrun else [])]) or ascii(row.reason)[:90]
        print(f"{row.name:<40} {row.outcome:<16} {row.seconds:6.2f} s  {said}", flush=True)
    return rows


def main() -> None:
    here = {CHECK: frozenset({CHECK}), **{layer.value: frozenset({layer.value}) for layer in Layer}}
    for layer in Layer:
        if why := missing(layer):
            del here[layer.value]
            print(f"not here: {layer.value}: {why}")
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--alone", action="store_true", help="also behind each wall by itself")
    parser.add_argument("--walls", help=f"behind these alone: some of {','.join(here)}; '' is none")
    parser.add_argument("--rows", type=Path, help="write each program's row as a line of JSON to this file")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*.py") if path.is_file())
    if not paths:
        parser.error(f"no program lies below {arguments.folder}")
    sets = {"all": frozenset(here)}
    if arguments.walls is not None:
        named = frozenset(filter(None, arguments.walls.split(",")))
        if unknown := sorted(named - {*here}):
            parser.error(f"{unknown[0]} is no wall of this machine; here are {', '.join(here)}")
        sets = {arguments.walls or "none": named}
    if arguments.alone:
        sets |= {"all layers, no check": frozenset(here) - {CHECK}, **here}
    _adopt()
    runs = {}
    for name, walls in sets.items():
        print(f"\nwalls: {name}")
        runs[name] = run_all(paths, arguments.folder, walls)
    first = next(iter(runs))
    print(f"\nBehind {first}:\n\n" + "\n".join(by_group(runs[first])) + "\n")
    print("\n".join(by_walls(runs)) + "\n")
    if arguments.rows:
        lines = [json.dumps({"walls": name, **asdict(row)}) for name, rows in runs.items() for row in rows]
        arguments.rows.write_text("".join(f"{line}\n" for line in lines))
    out = {name: escaped(name, rows) for name, rows in runs.items()}
    late = {name: [row.name for row in rows if row.overrun] for name, rows in runs.items()}
    result = {
        "programs": len(paths),
        "runs": sum(map(len, runs.values())),
        "escapes": sum(map(len, out.values())),
        "overruns": sum(map(len, late.values())),
        "escaped": {name: names for name, names in out.items() if names},
        "overran": {name: names for name, names in late.items() if names},
        "beyond": {name: len(beyond(name, rows)) for name, rows in runs.items()},
    }
    print(json.dumps(result))
    sys.exit(1 if result["escapes"] or result["overruns"] else 0)


if __name__ == "__main__":
    main()
