"""A decoding process that cannot begin to serve: that is said of the machine, and never of a file."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.errors import UserError
from aotd.load.clips import examine
from aotd.records import Question
from aotd.store.stage import Stage
from aotd.video import launch
from aotd.video.decode import Decoder, frame_rate
from aotd.video.source import DecodedVideos
from tests.video.clips import write_video
from tests.video.test_decode import GREET, ask, shot
from tests.video.test_liars import FACTS

SAYS = """
import json, os, signal, socket, struct, sys, time
def out(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
"""
REAL = f"\nimport runpy\nrunpy.run_path({str(launch._WORKER)!r}, run_name='__main__')\n"


@pytest.fixture
def source(root: Path) -> Iterator[DecodedVideos]:
    made = DecodedVideos(str(root), 4, 20)
    yield made
    made.close()


@pytest.fixture
def begin_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has decoding processes run these lines."""

    def put(lines: str) -> None:
        (tmp_path / "worker.py").write_text(SAYS + lines)
        monkeypatch.setattr(launch, "_WORKER", tmp_path / "worker.py")

    return put


def break_av(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a library of PyAV's were missing: in this process's children, from now on."""
    folder.mkdir(exist_ok=True)
    (folder / "av.py").write_text('raise ImportError("libavcodec: cannot open shared object file")\n')
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([before] if before else [])]))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("sys.exit(3)", "it ended with status 3"),
        ("import nowhere", "it ended with status 1, its last line: ModuleNotFoundError: No module named 'nowhere'"),
        ("sys.stderr.write('so it is\\n\\n  \\n'); os._exit(127)", "status 127, its last line: so it is"),
        ("os.write(2, b'\\x1b[31m\\xff\\0'); os._exit(1)", r"its last line: \x1b[31m"),
        ("os.write(2, b'x' * 100_000); sys.exit(1)", "its last line: xxx"),
        ("os.abort()", "it ended with status -6"),
        ("os.kill(os.getpid(), 11)", "it ended with status -11"),
        ("time.sleep(60)", "it was not ready within 1 s"),
        ("sys.stderr.write('loading'); sys.stderr.flush(); time.sleep(60)", "within 1 s, its last line: loading"),
        ("while True: os.write(2, b'x' * 65536)", "it was not ready within 1 s, its last line: xxx"),
        ("out(b'\\0\\0'); time.sleep(60)", "it was not ready within 1 s"),
        ("out(b'Hello\\n'); time.sleep(60)", "it said something else first"),
        ("out(b'\\0\\0\\0\\x10{\"ready\": false}'); time.sleep(60)", "it said something else first"),
        ("out(b'\\0\\0\\0\\x0e{\"error\": \"no\"}'); time.sleep(60)", "it said something else first"),
        (f"out({launch._READY!r} + b'\\0'); time.sleep(60)", "it said something else first"),
        ("while True: out(b'\\0' * 65536)", "it said something else first"),
        ("os.close(1); time.sleep(60)", "it closed its output"),
        ("os.close(1); os.close(2); time.sleep(60)", "it closed its output"),
        ("os.close(2); time.sleep(60)", "it was not ready within 1 s"),
    ],
)  # fmt: skip
def test_one_that_does_not_begin_to_serve_is_a_fault_of_the_machine(
    lines: str, says: str, root: Path, begin_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "START_S", 1.0)
    begin_with(lines)
    source = DecodedVideos(str(root), 4, 0.5)
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        source.open(ask("a.mp4"))
    assert time.monotonic() - started < 4
    said = str(caught.value)
    assert said.startswith("frames cannot be decoded on this machine: the decoding process did not start: ")
    assert says in said
    assert sys.executable in said
    assert said.isprintable()
    assert len(said) < 800
    (decoder,) = source._idle
    assert decoder._process is None, "it was ended"
    assert not source._defects, "nothing is known of the file"


def test_one_that_cannot_even_be_begun_is_one_line(source: DecodedVideos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(UserError, match="did not start: No such file or directory"):
        source.open(ask("a.mp4"))


def test_a_library_that_is_missing_is_named_and_the_next_run_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        break_av(tmp_path / "broken", patched)
        decoder = Decoder(20)
        for _ in range(2):
            with pytest.raises(UserError, match="ImportError: libavcodec: cannot open shared"):
                decoder.facts(root / "a.mp4")
            with pytest.raises(UserError, match="libavcodec"):
                frame_rate(root / "a.mp4", decoder)
            with pytest.raises(UserError, match="libavcodec"):
                examine(str(root), ["a.mp4"], 20)
    assert decoder.facts(root / "a.mp4").decoded, "mended meanwhile"
    decoder.close()


def test_walls_that_cannot_be_raised_are_told(source: DecodedVideos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_layers", lambda: {"landlock": 0, "rlimits": True, "seccomp": ""})
    with pytest.raises(UserError, match="its last line: KeyError: 'memory_bytes'"):
        source.open(ask("a.mp4"))


def test_little_memory_is_told(root: Path, begin_with: Any) -> None:
    pytest.importorskip("resource")
    begin_with("import resource\nresource.setrlimit(resource.RLIMIT_AS, (40 << 20, 40 << 20))" + REAL)
    with pytest.raises(UserError, match=r"did not start: .*ulimit -v"):
        DecodedVideos(str(root), 4, 20).open(ask("a.mp4"))


@pytest.mark.parametrize(("deaths", "status"), [(0, 9), (1, 9), (1, 15), (2, 9), (2, 15)])
def test_one_that_is_killed_while_it_starts_is_started_once_more(
    deaths: int, status: int, root: Path, tmp_path: Path, source: DecodedVideos, begin_with: Any
) -> None:
    died = tmp_path / "deaths"
    died.touch()
    begin_with(
        f"with open({str(died)!r}, 'r+') as died:\n"
        f"    if len(died.read()) < {deaths}:\n"
        f"        died.write('x'); died.flush(); os.kill(os.getpid(), {status})" + REAL
    )
    if deaths < 2:
        assert shot(source.open(ask("a.mp4")).pixels()) == [2, 7, 12, 17]
    else:
        name = {9: "SIGKILL", 15: "SIGTERM"}[status]
        with pytest.raises(UserError, match=f"did not start: it was killed twice, at last by {name}"):
            source.open(ask("a.mp4"))
    assert died.read_text() == "x" * deaths


def test_much_that_is_printed_while_it_starts_does_not_hold_it_up(source: DecodedVideos, begin_with: Any) -> None:
    begin_with("for _ in range(64): os.write(2, b'x' * 65536)" + REAL)
    assert shot(source.open(ask("a.mp4")).pixels()) == [2, 7, 12, 17]


def test_what_is_printed_once_it_serves_is_heard_by_nobody_and_holds_up_nobody(
    root: Path, begin_with: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    begin_with(
        f"{GREET}\nwire = socket.socket(fileno=0)\nsocket.recv_fds(wire, 4, 1)\nwire.recv(1000)\n"
        "for _ in range(64):\n    try: os.write(2, b'x' * 65536)\n    except OSError: pass\n"
        f"text = json.dumps({{'facts': json.loads({json.dumps(FACTS)!r})}}).encode()\n"
        "out(struct.pack('>I', len(text)) + text)\ntime.sleep(60)"
    )
    source = DecodedVideos(str(root), 4, 5)
    assert source.open(ask("a.mp4")).width == 8
    source.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc here")
def test_the_real_one_has_neither_a_terminal_nor_a_pipe_to_print_to(source: DecodedVideos) -> None:
    source.open(ask("a.mp4"))
    (decoder,) = source._idle
    assert decoder._process is not None
    held = {link.name: str(link.readlink()) for link in Path(f"/proc/{decoder._process.pid}/fd").iterdir()}
    assert held.pop("2") == os.devnull
    assert [name for name, to in held.items() if to.startswith(("pipe:", "/dev/"))] == ["1"]


@pytest.mark.skipif(not hasattr(fcntl, "F_GETPIPE_SZ"), reason="only Linux says how large a pipe is")
def test_its_pipe_holds_some_frames_where_the_system_lets_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "too much in pipes")

    sizes = []
    for change in (None, refuse):
        if change:
            monkeypatch.setattr("aotd.video.launch.fcntl.fcntl", change)
        source = DecodedVideos(str(root), 4, 20)
        assert shot(source.open(ask("a.mp4")).pixels()) == [2, 7, 12, 17]
        (decoder,) = source._idle
        assert decoder._process is not None
        monkeypatch.undo()
        sizes.append(fcntl.fcntl(decoder._process.stdout.fileno(), fcntl.F_GETPIPE_SZ))
        source.close()
    assert sizes[0] == launch._PIPE_BYTES > sizes[1]


def test_starting_does_not_take_from_a_file_its_time(root: Path, begin_with: Any) -> None:
    begin_with("time.sleep(2)" + REAL)
    source = DecodedVideos(str(root), 4, 1.0)
    assert shot(source.open(ask("a.mp4")).pixels()) == [2, 7, 12, 17]
    source.close()


def test_threads_that_wait_their_turn_are_told_at_once(
    root: Path, begin_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been tried; to wait for as many processes as there are threads would take the run a long time to end."""
    monkeypatch.setattr(launch, "START_S", 1.0)
    monkeypatch.setattr("aotd.video.source.cores", lambda: 1)
    begin_with("time.sleep(60)")
    source = DecodedVideos(str(root), 4, 0.5)
    names = [write_video(root / f"{number}.mp4").name for number in range(8)]

    def told(name: str) -> str:
        with pytest.raises(UserError) as caught:
            source.open(ask(name))
        return str(caught.value)

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(told, names))) == 1
    assert time.monotonic() - started < 4
    source.close()


def test_loading_ends_in_one_line_and_goes_on_once_it_is_mended(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps({"video": "a.mp4", "question": "What?", "answer": "this"}) + "\n")
    run = tmp_path / "run"
    words = ["load", "dataset=files", f"dataset.root={root}", f"dataset.questions={tmp_path / 'q.jsonl'}"]
    words += [f"run={run}", "load.check_videos=true"]
    clips = ["load", "dataset=clips", f"dataset.root={root}", f"run={tmp_path / 'clips'}"]
    with monkeypatch.context() as patched:
        break_av(tmp_path / "broken", patched)
        for asked in (words, clips):
            assert main(asked) == 2
            said = capsys.readouterr().err.splitlines()[-1]
            assert said.startswith("aotd: frames cannot be decoded on this machine")
            assert "libavcodec" in said
        assert not (run / "load" / "videos.jsonl").exists()
        assert not (tmp_path / "clips" / "clips.jsonl").exists()
    assert main(words) == main(clips) == 0
    assert len(Stage(run, "load", Question).records()) == 1
    assert Stage(run, "load", Question).dropped() == []
