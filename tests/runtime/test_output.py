"""What cannot be printed is replaced; a stream that is closed, full or a pipe without a reader is no traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import yaml

import aotd
from aotd.cli.main import main
from aotd.runtime.output import StandardConsole, say, wide_console
from tests.sample_run import evaluated, question, sample_run

ROOT = Path(aotd.__file__).parents[1]
MAIN = "import sys; from aotd.cli.main import main; sys.exit(main(sys.argv[1:]))"
ODD = "世界 ä 🎬 – → „it“"

COMMANDS = [
    (0, ["show", "RUN"]),
    (0, ["show", "RUN", "t"]),
    (0, ["show", "RUN", "--json"]),
    (0, ["show", "RUN", "t", "--json"]),
    (0, ["status", "RUN"]),
    (0, ["status", "run=RUN", "--tsv"]),
    (0, ["status", "RUN", "--json"]),
    (0, ["show", "--help"]),
    (0, ["--version"]),
    (0, ["report", "run=RUN"]),
    (0, ["load", "dataset=clips", "dataset.root=RUN", "load.dry_run=true", "run=RUN/new"]),
    (2, ["show", "RUN", "世"]),
    (2, ["fly→"]),
]
"""Status -> a command that ends with it."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose folder, ids and words hold what few encodings have."""
    folder = tmp_path_factory.mktemp("odd") / "世界 [b] :cat:"
    odd = [question("t", "test", words=ODD), *(question(key) for key in "abcdefg")]
    return evaluated(sample_run(folder, odd))


def python(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    around = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LC_", "LANG"))}
    around |= {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], env=around, capture_output=True, check=False)


DUMB, NARROW = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "0"}, {"COLUMNS": "1"}


@pytest.mark.parametrize(
    ("encoding", "environment"),
    [
        *((encoding, {}) for encoding in ("latin-1", "ascii", "cp1252", "koi8-r", "utf-16", "utf-8")),
        *(("latin-1", DUMB), ("utf-8", DUMB), ("ascii", NARROW), ("utf-16", NARROW)),
    ],
)
def test_commands_print_in_any_encoding(
    encoding: str, environment: dict[str, str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    for status, words in COMMANDS if not environment else COMMANDS[:5]:
        assert main([word.replace("RUN", str(run)) for word in words]) == status, words
    for stream in streams:
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
    printed = streams[0].buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    if "COLUMNS" not in environment:
        assert ("100.0 (20–100)" if encoding in ("cp1252", "utf-8", "utf-16") else "100.0 (20-100)") in printed
        assert "[b] :cat:" in printed
    assert ("世" in printed) == encoding.startswith("utf")


@pytest.mark.parametrize(("text", "ascii"), [(ODD, '?? ? ? - -> "it"'), ("\udcff…\N{REPLACEMENT CHARACTER}", "?...?")])
def test_what_an_encoding_lacks_becomes_something_like_it(text: str, ascii: str) -> None:
    assert text.encode("ascii", "aotd").decode() == ascii
    assert "ä–".encode("cp1252", "aotd") == b"\xe4\x96"


def test_library_prints_in_the_locale_of_old_servers(run: Path) -> None:
    done = python(MAIN, "show", run, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"100.0 (20-100)" in done.stdout


def test_json_and_yaml_lose_nothing_in_ascii(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(encoding: str, *words: str) -> bytes:
        stream = io.BytesIO()
        with monkeypatch.context() as patched, io.TextIOWrapper(stream, encoding, write_through=True) as out:
            patched.setattr(sys, "stdout", out)
            assert main(words) == 0
            return stream.getvalue()

    assert json.loads(printed("ascii", "show", str(run), "t", "--json"))["question"]["question"] == ODD
    assert yaml.safe_load(printed("latin-1", "load", f"run={run}", "--cfg", "job"))["run"] == str(run)
    assert not capsys.readouterr().err


CLOSED = """
import os, sys
from aotd.cli.main import main
status = main(["show", sys.argv[1]])
files = [os.open(sys.argv[1], os.O_RDONLY)]
assert files[0] > 2, "a file was taken for a stream"
sys.exit(status)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_stream_that_is_closed_or_full(closed: str, run: Path) -> None:
    words = ["sh", "-c", f'"$0" -c "$1" "$2" {closed}', sys.executable, CLOSED, str(run)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == (2 if "full" in closed else 0)
    assert done.stderr.splitlines() == (
        [b"aotd: No space left on device: make room where output is written to"] if "full" in closed else []
    )


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as out:
        yield out


def test_process_whose_reader_has_gone_ends_with_141(run: Path, unread: TextIO) -> None:
    words = [sys.executable, "-c", MAIN, "show", str(run)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, stdout=unread, stderr=subprocess.PIPE, env=environment, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", [["show", "RUN"], ["show", "RUN", "--json"], ["load", "--help"]])
def test_reader_that_has_gone_is_status_141(
    words: list[str],
    run: Path,
    unread: TextIO,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", unread)
    assert main([word.replace("RUN", str(run)) for word in words]) == 141
    unread.flush()  # as the interpreter does at its end
    assert not capsys.readouterr().err


def test_what_is_printed_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"[bold]x[/bold] [/b] :cat: 12 'y' {'z' * 300}"
    say(text)
    wide_console().print(text, soft_wrap=True)
    StandardConsole(stderr=True).print(text, soft_wrap=True)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{text}\n{text}\n", f"{text}\n")
