"""A decoding process that was taken over by what it decoded: whatever it says, a video ends right or as unreadable."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from aotd.records import Dropped, Outcome
from aotd.video import launch
from aotd.video.decode import Decoder, frame_rate, probe
from aotd.video.source import DecodedVideos
from tests.video.clips import write_video
from tests.video.test_decode import GREET, ask, shot, unreadable
from tests.video.test_hostile import write_sound

DEADLINE_S = 2

FACTS: dict[str, Any] = {
    "codec": "h264",
    "width": 8,
    "height": 6,
    "rotation": 0,
    "fps": 10.0,
    "duration_s": 2.0,
    "container_s": 2.0,
    "expected": 20,
    "decoded": 20,
    "damaged": 0,
    "cut": False,
}
"""What an honest process would say of some video."""

LIAR = """
import array, json, os, socket, struct, sys, time
wire = socket.socket(fileno=0)
def asked():
    head, files, _, _ = socket.recv_fds(wire, 4, 1)
    if not head:
        sys.exit()
    os.close(files[0])
    return json.loads(wire.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL))
def raw(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
def say(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw(struct.pack(">I", len(text)) + text + data)
FACTS = json.loads({facts!r})
FRAME = {{"first": 0, "copies": 4, "shape": [6, 8, 3], "bytes": 144}}
def frames(**changes):
    asked()
    say({{"facts": FACTS}})
    asked()
    say({{**FRAME, **changes}}, bytes(144))
    say({{"end": True}})
    asked()
{greet}
{says}
"""


@pytest.fixture
def lie(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives a source of videos whose decoding process runs these lines."""
    made: list[DecodedVideos] = []

    def begin(says: str) -> DecodedVideos:
        script = tmp_path / "liar.py"
        script.write_text(LIAR.format(facts=json.dumps(FACTS), greet=GREET, says=says))
        monkeypatch.setattr(launch, "_WORKER", script)
        made.append(DecodedVideos(str(root), 4, DEADLINE_S))
        return made[-1]

    yield begin
    for source in made:
        source.close()


def test_one_that_says_what_an_honest_one_would_is_believed(lie: Any) -> None:
    video = lie("frames()").open(ask("a.mp4"))
    assert (video.width, video.height, video.end_s) == (8, 6, 2.0)
    assert not video.pixels().any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codec", 5), ("codec", ""), ("codec", "h264\n"), ("codec", "\x1b[31m"), ("codec", "x" * 65), ("codec", None),
        ("width", 0), ("width", -8), ("width", 8.0), ("width", "8"), ("width", True), ("width", 10**9), ("width", [8]),
        ("height", None), ("height", 2**63), ("rotation", 45), ("rotation", -90), ("rotation", "90"),
        ("fps", 0), ("fps", -1.0), ("fps", float("nan")), ("fps", float("inf")), ("fps", "10"), ("fps", {}),
        ("duration_s", -1.0), ("duration_s", float("nan")), ("duration_s", float("inf")), ("duration_s", None),
        ("container_s", float("nan")), ("container_s", "2"), ("expected", -1), ("expected", 1.5), ("expected", 2**64),
        ("decoded", 0), ("decoded", "20"), ("damaged", -1), ("damaged", None), ("cut", 0), ("cut", "no"),
        ("more", 1),
    ],
)  # fmt: skip
def test_a_fact_of_another_type_or_range_is_nonsense(field: str, value: Any, lie: Any, root: Path) -> None:
    facts = json.dumps({**FACTS, field: value})
    source = lie(f"while asked(): say(b'{{\"facts\": ' + {facts!r}.encode() + b'}}')")
    assert "answered nonsense" in unreadable(source, ask("a.mp4"))
    decoder = Decoder(DEADLINE_S)
    assert probe(root / "a.mp4", decoder).defect == "the decoder answered nonsense"
    assert frame_rate(root / "a.mp4", decoder) is None
    decoder.close()


@pytest.mark.parametrize("field", FACTS)
def test_a_fact_that_is_left_out_is_nonsense(field: str, lie: Any) -> None:
    facts = {name: value for name, value in FACTS.items() if name != field}
    source = lie(f"asked(); say(b'{{\"facts\": ' + {json.dumps(facts)!r}.encode() + b'}}'); asked()")
    assert "answered nonsense" in unreadable(source, ask("a.mp4"))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b'"facts"', b'{"facts": []}', b'{"facts": null}', b'{"end": true}',
        b'{"error": {}}', b'{"error": "x", "facts": {}}', b"[" * 100_000, b'{"facts":' * 50_000,
        b'{"facts": {"width": ' + b"9" * 10_000 + b"}}",
    ],
)  # fmt: skip
def test_what_is_no_reply_is_nonsense(text: bytes, lie: Any) -> None:
    assert "answered nonsense" in unreadable(lie(f"asked(); say({text!r}); asked()"), ask("a.mp4"))


@pytest.mark.parametrize(
    "changes",
    [
        {"first": 1}, {"first": -1}, {"first": "0"}, {"copies": 0}, {"copies": -1}, {"copies": 5}, {"copies": 10**9},
        {"copies": 4.0}, {"copies": True}, {"shape": [8, 6, 3]}, {"shape": [6, 8]}, {"shape": [6, 8, 4]},
        {"shape": "683"}, {"shape": [6.0, 8, 3]}, {"shape": [-6, -8, 3]}, {"bytes": 143}, {"bytes": 2**62},
        {"bytes": -1}, {"bytes": None}, {"more": 1}, {"facts": FACTS},
    ],
)  # fmt: skip
def test_frames_of_another_shape_or_number_are_nonsense(changes: dict[str, Any], lie: Any) -> None:
    reason = unreadable(lie(f"frames(**{changes!r})"), ask("a.mp4"))
    assert "answered nonsense" in reason or "another shape or number" in reason


@pytest.mark.parametrize("end", [{"end": False}, {"end": 1, "more": 2}, {"facts": FACTS}, {"first": 4}])
def test_frames_without_an_end_are_not_believed(end: dict[str, Any], lie: Any) -> None:
    says = f'asked(); say({{"facts": FACTS}}); asked(); say(FRAME, bytes(144)); say({end!r}); asked()'
    assert "answered nonsense" in unreadable(lie(says), ask("a.mp4"))


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("time.sleep(60)", "no progress for 2 s"),
        ("asked(); time.sleep(60)", "no progress for 2 s"),
        ("asked(); say({'facts': FACTS}); asked(); raw(b'\\0\\0'); time.sleep(60)", "no progress for 2 s"),
        ("asked(); say({'facts': FACTS}); asked(); say(FRAME, bytes(143)); time.sleep(60)", "no progress for 2 s"),
        ("asked()\nwhile True: raw(b'\\0'); time.sleep(0.4)", "the decoder answered nonsense"),
        ("asked(); raw(b'\\0\\x0f\\0\\0')\nwhile True: raw(b' '); time.sleep(0.1)", "no progress for 2 s"),
        ("asked()\nwhile True: raw(b'x' * 65536)", "the decoder answered nonsense"),
        ("asked()\nwhile True: say({'facts': FACTS})", "the decoder answered nonsense"),
        ("asked(); say({'facts': FACTS}); asked()\nwhile True: say({**FRAME, 'copies': 1}, bytes(144))", "shape or"),
        ("asked(); raw(b'\\xff\\xff\\xff\\xff')", "answered nonsense"),
        ("asked(); os.close(1); time.sleep(60)", "closed its output"),
        ("asked(); os.kill(os.getpid(), 11)", "crashed on it (status -11)"),
        ("sys.exit(3)", "crashed on it (status 3)"),
    ],
)  # fmt: skip
def test_silence_and_endless_talk_end(says: str, reason: str, lie: Any) -> None:
    source = lie(says)
    started = time.monotonic()
    assert reason in unreadable(source, ask("a.mp4"))
    assert time.monotonic() - started < 2 * DEADLINE_S + 2


def test_one_that_never_listens_ends_at_the_deadline(root: Path, lie: Any) -> None:
    """A request for very many frames is longer than what the system holds for a reader that does not read."""
    source = lie('asked(); say({"facts": FACTS}); time.sleep(60)')
    source._frames = 100_000
    started = time.monotonic()
    assert "no progress for 2 s" in unreadable(source, ask("a.mp4"))
    assert time.monotonic() - started < 2 * DEADLINE_S


def test_what_is_said_unasked_is_not_taken_for_the_next_answer(root: Path, tmp_path: Path, lie: Any) -> None:
    write_video(root / "b.mp4", frames=10)
    turned = tmp_path / "once"
    source = lie(
        f"import pathlib\nonce = pathlib.Path({str(turned)!r})\n"
        "if once.exists():\n    frames(); sys.exit()\n"
        "once.touch()\n"
        'asked(); say({"facts": FACTS}); say({"facts": {**FACTS, "width": 80}}); asked()'
    )
    assert source.open(ask("a.mp4")).width == 8
    time.sleep(0.2)
    assert source.open(ask("b.mp4")).width == 8, "the process was ended, and another asked"


@pytest.mark.parametrize("error", ["two\nlines", "\x1b]0;title\x07", "\u202eevil", "x" * 100_000, "\ud800", ""])
def test_a_refusal_is_one_short_line_that_a_ledger_can_hold(error: str, lie: Any) -> None:
    reason = unreadable(lie(f'asked(); say({{"error": {error!r}}}); asked()'), ask("a.mp4"))
    assert reason.isprintable()
    assert len(reason) < 400
    Dropped(question_id="q", outcome=Outcome.video_unreadable, reason=reason).model_dump_json()


def test_cut_without_a_promised_length_is_named(lie: Any) -> None:
    source = lie('asked(); say({"facts": {**FACTS, "cut": True, "container_s": None}}); asked()')
    assert "cut off" in unreadable(source, ask("a.mp4"))


def test_frames_too_many_for_any_memory_are_not_made_room_for(lie: Any) -> None:
    source = lie('asked(); say({"facts": {**FACTS, "width": 2**26, "height": 2**26}}); asked()')
    assert "take more than 4 GiB" in unreadable(source, ask("a.mp4"))


def write_all_kinds(path: Path) -> None:
    """As `write_video`, with sound and subtitles beside."""
    seen, heard, read = (path.with_suffix(ending) for ending in (".avi", ".mp4", ".srt"))
    write_video(seen)
    with av.open(str(heard), "w") as out:
        write_sound(out)
    read.write_text("1\n00:00:00,000 --> 00:00:01,000\nWords.\n")
    with av.open(str(path), "w") as out, contextlib.ExitStack() as stack:
        sources = [stack.enter_context(av.open(str(part))) for part in (seen, heard, read)]
        streams = [out.add_stream_from_template(source.streams[0]) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)


def test_the_real_one_needs_no_more_than_the_file_it_is_given(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves where not one file more can be opened: not even for what PyAV imports late."""
    from aotd.video import worker

    walled = tmp_path / "walled.py"
    walled.write_text(
        f"import resource, runpy, os, sys\nmodule = runpy.run_path({worker.__file__!r}, run_name='walled')\n"
        "def raise_layers(settings, libc):\n"
        "    free = os.dup(0)\n    os.close(free)\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))\n"  # what it prints to is shut behind this
        "module['main'].__globals__['raise_layers'] = raise_layers\nmodule['main']()\n"
    )
    monkeypatch.setattr(launch, "_WORKER", walled)
    write_video(root / "b.avi")
    write_all_kinds(root / "c.mkv")
    write_video(root / "d.ts", codec="mpeg2video", fps=25)
    (root / "text.mp4").write_text("no")
    source = DecodedVideos(str(root), 4, 20)
    for name in ("a.mp4", "b.avi", "c.mkv"):
        assert shot(source.open(ask(name)).pixels()) == [2, 7, 12, 17]
    assert source.open(ask("d.ts")).pixels().shape == (4, 48, 64, 3), (
        "the C library's tables of characters are not needed"
    )
    assert "not a video that can be opened" in unreadable(source, ask("text.mp4"))
    (decoder,) = source._idle
    process = decoder._process
    assert process is not None
    threads = Path(f"/proc/{process.pid}/task")
    assert not threads.is_dir() or len(list(threads.iterdir())) == 1, "walls stand around one thread"
    source.close()
