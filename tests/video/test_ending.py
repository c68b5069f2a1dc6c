"""Whole files and files that are cut: what tells them apart is how they end, not what a header says of time."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aotd.video.ending import Ending, ending
from aotd.video.facts import VideoFacts
from aotd.video.reader import UnreadableError, read_facts
from aotd.video.source import DecodedVideos
from tests.video.clips import write_streams
from tests.video.test_decode import ask, shot, unreadable

STILL = [*(number / 10 for number in range(29)), 8.0]
"""The last frame but one stands for five seconds."""
UNEVEN = [number**2 / 200 for number in range(30)]

WHOLE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mp4": ("a.mp4", "mpeg4", {"muxing": {"movflags": "faststart"}}),
    "mp4 with a still": ("a.mp4", "mpeg4", {"muxing": {"movflags": "faststart"}, "times": STILL}),
    "mp4 with longer sound": ("a.mp4", "mpeg4", {"muxing": {"movflags": "faststart"}, "sound_s": 9}),
    "mp4, sound in front": ("a.mp4", "mpeg4", {"muxing": {"movflags": "faststart"}, "sound_s": -9}),
    "mp4 in fragments": ("a.mp4", "libx264", {"muxing": {"movflags": "frag_every_frame+empty_moov"}}),
    "mp4 in fragments, no index": ("a.mp4", "libx264", {"muxing": {"movflags": "frag_every_frame+skip_trailer"}}),
    "mp4 in indexed fragments": ("a.mp4", "libx264", {"muxing": {"movflags": "dash+global_sidx+frag_every_frame"}}),
    "mkv": ("a.mkv", "mpeg4", {}),
    "mkv with longer sound": ("a.mkv", "mpeg4", {"sound_s": 9}),
    "mkv, uneven": ("a.mkv", "libx264", {"times": UNEVEN}),
    "mkv that begins late": ("a.mkv", "libx264", {"times": [5 + number / 10 for number in range(30)]}),
    "webm": ("a.webm", "libvpx", {}),
    "webm with a still": ("a.webm", "libvpx", {"times": STILL}),
    "mkv, live": ("a.mkv", "mpeg4", {"muxing": {"live": "1"}}),
    "avi": ("a.avi", "mpeg4", {}),
    "avi with longer sound": ("a.avi", "mpeg4", {"sound_s": 9}),
    "transport stream": ("a.ts", "mpeg2video", {}),
    "transport stream with sound": ("a.ts", "mpeg2video", {"sound_s": 3}),
    "transport stream, 192 bytes": ("a.m2ts", "mpeg2video", {"muxing": {"mpegts_m2ts_mode": "1"}}),
    "program stream": ("a.mpg", "mpeg2video", {}),
    "flv": ("a.flv", "flv", {}),
    "asf": ("a.asf", "wmv2", {}),
}  # fmt: skip
"""What people's files are like: name, encoder, and how each is written."""


def write(
    path: Path,
    codec: str,
    times: list[float] | None = None,
    muxing: dict[str, str] | None = None,
    sound_s: int = 0,
) -> bytes:
    """Thirty frames of noise, ten a second.

    Args:
        times: when each is shown.
        muxing: of the container.
        sound_s: seconds of silence beside; less than 0: written before all frames.
    """
    rng = np.random.default_rng(0)
    ticks = 25 if codec in ("mpeg2video", "flv", "wmv2") or path.suffix == ".avi" else 1000
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=10 if ticks == 1000 else 25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "libx264": {"preset": "ultrafast"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}
        }.get(codec, {})  # fmt: skip
        stream.codec_context.time_base = Fraction(1, ticks)
        sound = container.add_stream("aac", rate=8000, layout="mono") if sound_s else None
        if sound and sound_s < 0:
            _silence(container, sound, -sound_s)
        for number in range(30):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round((times[number] if times else number / 10) * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound and sound_s > 0:
            _silence(container, sound, sound_s)
    return path.read_bytes()


def _silence(container: Any, stream: Any, seconds: int) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * seconds), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 8000, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode())


def seen(data: bytes) -> VideoFacts | str:
    try:
        return read_facts(io.BytesIO(data), every_frame=False)
    except UnreadableError as error:
        return str(error)


def cut(data: bytes) -> bool:
    """Whether a file is called cut off, or cannot be opened any more."""
    found = seen(data)
    return isinstance(found, str) or found.cut


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_is_no_cut_one_and_a_cut_one_is(kind: str, tmp_path: Path) -> None:
    name, codec, how = WHOLE[kind]
    data = write(tmp_path / name, codec, **how)
    found = seen(data)
    assert isinstance(found, VideoFacts)
    assert (found.cut, found.damaged) == (False, 0)
    for percent in (30, 60, 95):
        part = len(data) * percent // 100
        only_its_index = 0 < data.find(b"idx1") < part
        assert cut(data[:part]) != only_its_index, percent
        if kind not in ("mp4", "mp4 with a still", "mp4 with longer sound", "mp4, sound in front", "program stream"):
            assert cut(data[:part] + bytes(len(data) - part)) or percent == 95, f"room for the rest of {percent} %"


@pytest.mark.parametrize("header_s", [0.0, 3.0, 3.4, 4.0, 30.0, 3600.0])
@pytest.mark.parametrize("live", [False, True])
def test_a_wrong_duration_in_a_header_makes_no_cut_file(header_s: float, live: bool, tmp_path: Path) -> None:
    """As recorders write it that patch a duration into a file of an unknown size."""
    data = bytearray(write(tmp_path / "a.mkv", "mpeg4"))
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", header_s * 1000)
    data = data.replace(b"DURATION", b"XURATION")
    if live:
        at = data.index(b"\x18\x53\x80\x67") + 4
        data[at : at + 8] = b"\x01" + 7 * b"\xff"
        at = data.index(b"\x1f\x43\xb6\x75") + 4
        if data[at] == 1:
            data[at : at + 8] = b"\x01" + 7 * b"\xff"
    found = seen(bytes(data))
    assert isinstance(found, VideoFacts)
    assert (found.cut, found.duration_s) == (False, pytest.approx(3.0))
    assert cut(bytes(data[: len(data) // 2]))


def test_a_still_at_the_end_is_shown_as_long_as_its_track_says(tmp_path: Path) -> None:
    data = write_still(tmp_path / "still.webm")
    source = DecodedVideos(str(tmp_path), 4, 20)
    video = source.open(ask("still.webm"))
    assert video.end_s == pytest.approx(9.9, abs=0.01)
    assert shot(video.pixels()) == [12, 19, 19, 19]
    assert shot(source.open(ask("still.webm", 5.0, 9.0)).pixels()) == [19, 19, 19, 19]
    (tmp_path / "cut.webm").write_bytes(data[: len(data) * 6 // 10])
    assert "s of 9.90 s" in unreadable(source, ask("cut.webm"))
    source.close()


@pytest.mark.parametrize("tag", [b"00:47:43.778000000", b"one hour and more.", b"-1:00:00.000000000"])
def test_a_tag_that_was_copied_from_another_file_shows_nothing_longer(tag: bytes, tmp_path: Path) -> None:
    """Whoever cuts a part out of a film may copy the tags of the whole."""
    data = write_still(tmp_path / "part.webm")
    at = data.index(b"00:00:09.9")
    found = seen(data[:at] + tag + data[at + 18 :])
    assert isinstance(found, VideoFacts)
    assert (found.cut, found.duration_s) == (False, pytest.approx(2.0))


def write_still(path: Path) -> bytes:
    """Twenty frames, ten a second; the last stands for 8 s, as header and tag say, and its block does not."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv420p"
        packets = []
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number + 20, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            packets += stream.encode(frame)
        packets += stream.encode()
        packets[-1].duration = round(8 / packets[-1].time_base)
        container.mux(packets)
    data = path.read_bytes()
    assert data.count(b"\x9b\x82\x1f\x40") == 1, "a duration of the block"
    path.write_bytes(data.replace(b"\x9b\x82\x1f\x40", b"\xec\x82\x1f\x40"))
    return path.read_bytes()


def test_a_cut_file_without_a_duration_says_so(tmp_path: Path) -> None:
    data = write(tmp_path / "a.ts", "mpeg2video")
    (tmp_path / "a.ts").write_bytes(data[: len(data) // 2 // 188 * 188 + 9])
    source = DecodedVideos(str(tmp_path), 4, 20)
    assert "s, in the middle of its data" in unreadable(source, ask("a.ts"))
    source.close()


def test_a_film_whose_sound_alone_is_cut_is_whole(tmp_path: Path) -> None:
    data = write(tmp_path / "a.mp4", "mpeg4", sound_s=60, muxing={"movflags": "faststart"})
    assert not cut(data[:-200])


def box(kind: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(content) if size is None else size, kind) + content


def header(seconds: int) -> bytes:
    return box(b"moov", box(b"mvhd", bytes(12) + struct.pack(">II", 1, seconds) + bytes(80)))


def index(*sizes: int) -> bytes:
    entries = b"".join(struct.pack(">III", size, 1, 0) for size in sizes)
    return box(b"sidx", bytes(20) + struct.pack(">IHH", 0, 0, len(sizes))[4:] + entries)


FRAGMENT = box(b"moof", bytes(20)) + box(b"mdat", bytes(50))
TS = b"\x47" + bytes(range(187))
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
BYTES: dict[str, tuple[str, bytes, Ending]] = {
    "mp4": (MP4, box(b"ftyp") + header(9) + box(b"mdat", bytes(90)), Ending.whole),
    "frames first": (MP4, box(b"ftyp") + box(b"mdat", bytes(90)) + header(9), Ending.whole),
    "cut in the frames": (MP4, box(b"ftyp") + header(9) + box(b"mdat", bytes(90))[:-1], Ending.torn),
    "cut behind them": (MP4, header(9) + box(b"mdat", bytes(90)) + box(b"free", bytes(90))[:-1], Ending.whole),
    "something behind": (MP4, header(9) + box(b"mdat", bytes(90)) + b"\0\0\0\3TAG of a player", Ending.whole),
    "up to the end": (MP4, header(9) + box(b"mdat", bytes(90), size=0), Ending.untold),
    "no header": (MP4, box(b"mdat", bytes(90)), Ending.untold),
    "a long box": (MP4, header(9) + box(b"mdat", struct.pack(">Q", 116) + bytes(100), 1), Ending.whole),
    "a long box, cut": (MP4, header(9) + box(b"mdat", struct.pack(">Q", 1 << 40) + bytes(100), 1), Ending.torn),
    "fragments": (MP4, header(0) + 2 * FRAGMENT, Ending.whole),
    "fragments of so many seconds": (MP4, header(9) + 2 * FRAGMENT, Ending.untold),
    "fragments with an end": (MP4, header(9) + 2 * FRAGMENT + box(b"mfra"), Ending.whole),
    "half a fragment": (MP4, header(0) + FRAGMENT + FRAGMENT[:28], Ending.torn),
    "a fragment, cut": (MP4, header(0) + FRAGMENT + FRAGMENT[:60], Ending.torn),
    "a fragment and empty room": (MP4, header(0) + FRAGMENT + bytes(99), Ending.torn),
    "all fragments of an index": (MP4, header(9) + index(86, 86) + 2 * FRAGMENT, Ending.untold),
    "one missing": (MP4, header(9) + index(86, 86) + FRAGMENT, Ending.torn),
    "nothing": (MP4, b"", Ending.untold),
    "no Matroska": ("matroska,webm", bytes(100), Ending.untold),
    "no AVI": ("avi", b"RIFF" + bytes(100), Ending.torn),
    "short AVI": ("avi", b"RIFF", Ending.untold),
    "AVI, sizes never written": ("avi", b"RIFF\0\0\0\0AVI LIST\0\0\0\0movi" + bytes(50), Ending.untold),
    "AVI of two parts": ("avi", 2 * (b"RIFF\x18\0\0\0AVIXLIST\x08\0\0\0movi" + bytes(4)), Ending.whole),
    "the second one cut": ("avi", (2 * (b"RIFF\x18\0\0\0AVIXLIST\x08\0\0\0movi" + bytes(4)))[:-1], Ending.torn),
    "transport stream": ("mpegts", 200 * TS, Ending.whole),
    "transport stream, cut in a packet": ("mpegts", (200 * TS)[:-1], Ending.torn),
    "transport stream, filled up": ("mpegts", 200 * TS + bytes(500), Ending.whole),
    "transport stream, hardly filled": ("mpegts", 200 * TS + bytes(200 * 188), Ending.torn),
    "transport stream with something else behind": ("mpegts", 200 * TS + 188 * b"x", Ending.torn),
    "no transport stream": ("mpegts", b"x" * 2000, Ending.untold),
    "no FLV": ("flv", b"FLV", Ending.torn),
    "no Ogg": ("ogg", b"x" * 99, Ending.torn),
    "Ogg": ("ogg", b"OggS" + bytes(22) + b"\2\5\3" + bytes(8), Ending.whole),
    "Ogg, cut": ("ogg", b"OggS" + bytes(22) + b"\2\5\3" + bytes(7), Ending.torn),
    "Ogg, cut in a head": ("ogg", b"OggS" + bytes(22) + b"\2\5\3" + bytes(8) + b"OggS\0", Ending.torn),
    "no ASF": ("asf", bytes(99), Ending.untold),
    "no program stream": ("mpeg", bytes(99), Ending.untold),
    "a container that says nothing": ("gif", b"GIF89a", Ending.untold),
}


@pytest.mark.parametrize("kind", BYTES)
def test_parts_say_whether_a_file_is_whole(kind: str) -> None:
    container, data, expected = BYTES[kind]
    file = io.BytesIO(data)
    file.seek(3)
    assert ending(file, container) is expected
    assert file.tell() == 3


@pytest.mark.parametrize("container", sorted({container for container, _, _ in BYTES.values()}))
def test_any_bytes_have_an_ending(container: str) -> None:
    """Sizes are a stranger's: none leads to an error, or a loop without end."""
    rng = np.random.default_rng(1)
    sound = [data for other, data, _ in BYTES.values() if other == container]
    for number in range(300):
        data = bytearray(sound[number % len(sound)] * 3 + rng.bytes(40))
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.choice([0, 1, 127, 128, 255])
        assert ending(io.BytesIO(bytes(data)), container) in Ending


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts", "a.mpg", "a.flv"])
def test_any_damage_of_a_file_has_an_ending(name: str, tmp_path: Path) -> None:
    codec = {"a.ts": "mpeg2video", "a.mpg": "mpeg2video", "a.flv": "flv"}.get(name, "mpeg4")
    sound = write_streams(tmp_path / name, "f", codec=codec).read_bytes()
    container = {"a.mkv": "matroska,webm", "a.mp4": MP4, "a.ts": "mpegts", "a.mpg": "mpeg"}.get(name, name[2:])
    assert ending(io.BytesIO(sound), container) is Ending.whole
    rng = np.random.default_rng(2)
    for _ in range(100):
        data = bytearray(sound[: rng.integers(1, len(sound))])
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.choice([0, 1, 127, 128, 255])
        assert ending(io.BytesIO(bytes(data)), container) in Ending
