"""Programs that try to get out of the sandbox. Here one of each group is run; `make test-hostile` runs them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aotd.sandbox.check import InvalidProgramError, check
from aotd.tools.video import VIDEO_TOOLS

ROOT = Path(__file__).parents[2]
HOSTILE = Path(__file__).parent / "hostile"
RUNNER = ROOT / "benchmarks" / "hostile.py"
ONE_OF_EACH = (
    "bombs/memory_double",
    "classes/method_self",
    "definitions/parameter_known",
    "encodings/parse_assignments",
    "files/flood",
    "frames/traceback_of_tool",
    "imports/import_loader",
    "kernel/open_32_bits",
    "pipe/argument_deep",
    "signals/kill_parent",
    "text/answer_surrogate",
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left in /proc")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100
    )


def test_check_passes_known_hostile_programs() -> None:
    """What passes is left to the process: bombs, odd arguments, odd answers. None of it reaches for anything."""
    passed = []
    for path in HOSTILE.rglob("*.py"):
        try:
            check(
                path.read_bytes().decode(errors="replace").replace("CANARY", "'/c'").replace("PORT", "1"), VIDEO_TOOLS
            )
        except InvalidProgramError:
            continue
        passed.append(path.relative_to(HOSTILE).with_suffix("").as_posix())
    assert sorted(passed) == (HOSTILE / "pass_the_check.txt").read_text().split()


def test_every_hostile_group_has_programs() -> None:
    groups = {path.name for path in HOSTILE.iterdir() if path.is_dir()}
    assert {name.partition("/")[0] for name in ONE_OF_EACH} == groups


@linux
def test_one_program_of_each_group_stays_inside(tmp_path: Path) -> None:
    for name in ONE_OF_EACH:
        copy = tmp_path / f"{name}.py"
        copy.parent.mkdir()
        copy.write_bytes((HOSTILE / f"{name}.py").read_bytes())
    ran = python(str(RUNNER), str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result == {
        **{"programs": 11, "runs": 11, "escapes": 0, "overruns": 0, "escaped": {}, "overran": {}, "beyond": {"all": 0}}
    }


SEEN = """\
import encodings.idna, json, os, signal, socket, subprocess, sys, time
from pathlib import Path
from benchmarks import hostile

WAYS = {
    "nothing": lambda path, port: "x",
    "read": lambda path, port: path.read_text(),
    "change": lambda path, port: path.write_text("changed"),
    "mode": lambda path, port: path.chmod(0o644),
    "make": lambda path, port: path.with_name("new").touch(),
    "connect": lambda path, port: socket.create_connection(("127.0.0.1", port)).close(),
    "leave": lambda path, port: subprocess.Popen(["sleep", "9"], start_new_session=True).pid,
    "kill": lambda path, port: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda path, port: 1 / 0,
    "surrogate": lambda path, port: chr(0xD800),
    "slow": lambda path, port: time.sleep(1.6),
}

class Open:
    def __init__(self, *_, **__): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass

    def run(self, code, *_):
        name, path, port = json.loads(code)
        return str(WAYS[name](Path(path), port))

hostile.Sandbox = Open
hostile._adopt()
rows = {}
for name in WAYS:
    text = Path(sys.argv[1], name)
    text.write_text('["' + name + '", CANARY, PORT]')
    hostile._parses = lambda text: '"/' in text
    row = hostile.measure(text, name, frozenset())
    rows[name] = [*row.escapes, *(["overrun"] if row.overrun else [])]
print(json.dumps(rows))
"""
"""The runner, with a sandbox in whose place something escapes in each way there is."""


@linux
def test_runner_sees_every_kind_of_escape(tmp_path: Path) -> None:
    ran = python("-c", SEEN, str(tmp_path))
    rows: dict[str, Any] = json.loads(ran.stdout) if ran.stdout else pytest.fail(ran.stderr)
    cannot_be_written = rows.pop("surrogate")
    assert len(cannot_be_written) == 1
    assert cannot_be_written[0].startswith("cannot be written")
    assert rows == {
        "nothing": [],
        "read": ["read the file"],
        "change": ["changed the file"],
        "mode": ["changed the file"],
        "make": ["made, moved or removed a file"],
        "connect": ["connected"],
        "leave": ["left a process"],
        "kill": ["killed or stopped its parent"],
        "crash": ["ended without an outcome"],
        "slow": ["overrun"],
    }


@linux
def test_empty_folder_of_programs_is_refused(tmp_path: Path) -> None:
    ran = python(str(RUNNER), str(tmp_path))
    assert ran.returncode == 2
    assert "no program lies below" in ran.stderr
