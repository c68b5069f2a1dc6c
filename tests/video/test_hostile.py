"""Files made to do harm: each is decoded right or ends as `video_unreadable` with a reason that says what it is.

That no other file is opened is shown twice: a playlist that names a sound video never shows that video's
pixels, and one that names a pipe nobody writes to does not wait for it.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aotd.errors import QuestionError, UserError
from aotd.load.clips import examine, files_below
from aotd.records import Outcome
from aotd.sandbox.layers import Layer, missing
from aotd.video import decode, launch
from aotd.video.decode import Decoder, probe
from aotd.video.source import DecodedVideos
from tests.video.clips import write_video
from tests.video.test_decode import ask, shot, unreadable

DEADLINE_S = 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The data root; what lies beside it is out of bounds."""
    made = tmp_path / "root"
    made.mkdir()
    return made


@pytest.fixture
def source(root: Path) -> Iterator[DecodedVideos]:
    made = DecodedVideos(str(root), 4, DEADLINE_S)
    yield made
    made.close()


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder(DEADLINE_S)
    yield made
    made.close()


def write_many(path: Path, frames: int, size: tuple[int, int] = (16, 16), codec: str = "mpeg4", **options: str) -> Path:
    """Black frames, ten a second."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def gif(width: int, height: int) -> bytes:
    """A GIF of three frames that holds one pixel of each and promises the rest."""
    picture = struct.pack("<cHHHHB", b"\x2c", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    frame = b"\x21\xf9\x04\x00\x0a\x00\x00\x00" + picture
    colours = b"\x00\x00\x00\xff\xff\xff"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + colours + frame * 3 + b"\x3b"


def write_sound(container: av.container.OutputContainer) -> None:
    """A second of silence as a further stream."""
    stream = container.add_stream("aac", rate=8000, layout="mono")
    silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
    silence.sample_rate = 8000
    container.mux(stream.encode(silence))
    container.mux(stream.encode())


NO_VIDEO = ("not a video that can be opened", "has no video stream", "holds no frames", "no frame of it can be decoded")


@pytest.mark.parametrize("tenths", range(10))
def test_a_file_cut_anywhere_is_named(tenths: int, root: Path, source: DecodedVideos, decoder: Decoder) -> None:
    """The header stands in front, so that a cut file still opens, and promises what is no longer there."""
    data = write_many(root / "whole.mp4", 60, movflags="faststart").read_bytes()
    start = data.index(b"mdat") + 4
    (root / "cut.mp4").write_bytes(data[: start + (len(data) - start) * tenths // 10])
    assert any(told in unreadable(source, ask("cut.mp4")) for told in (*NO_VIDEO, "cut off"))
    found = probe(root / "cut.mp4", decoder)
    assert found.defect
    assert not found.facts or found.facts.expected == 60, "what is missing is counted"
    assert tenths < 4 or "of 60 frames cannot be decoded" in found.defect


@pytest.mark.parametrize("tenths", range(10))
def test_a_header_cut_anywhere_is_named(tenths: int, root: Path, source: DecodedVideos) -> None:
    data = write_many(root / "whole.mp4", 60, movflags="faststart").read_bytes()
    (root / "cut.mp4").write_bytes(data[: data.index(b"mdat") * tenths // 10])
    assert any(told in unreadable(source, ask("cut.mp4")) for told in NO_VIDEO)


def test_an_unknown_codec_is_named(root: Path, source: DecodedVideos) -> None:
    data = write_video(root / "a.mkv").read_bytes()
    assert b"V_MPEG4/ISO/ASP" in data
    (root / "odd.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_NOBODY/KNOWS/"))
    assert "its codec is not known" in unreadable(source, ask("odd.mkv"))


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{uri}\n#EXT-X-ENDLIST\n",
    "hls_master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}\n",
    "hls_key": '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="{uri}"\n#EXTINF:2,\n{uri}\n',
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "concat_plain": "file '{path}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{uri}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=control:{uri}\n",
    "asx": '<asx version="3.0"><entry><ref href="{uri}"/></entry></asx>',
    "subtitles": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n# {path}\n",
}


@pytest.mark.parametrize("target", ["beside", "outside", "pipe"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_nothing(kind: str, target: str, root: Path, source: DecodedVideos) -> None:
    path = (root if target == "beside" else root.parent) / "canary.mp4"
    if target == "pipe":
        os.mkfifo(path)
    else:
        write_video(path)
    (root / "list.mp4").write_text(PLAYLISTS[kind].format(path=path, uri=path.as_uri()))
    started = time.monotonic()
    assert "not a video that can be opened" in unreadable(source, ask("list.mp4"))
    assert time.monotonic() - started < DEADLINE_S / 2, "it did not wait for a pipe"


def test_a_movie_that_keeps_its_frames_elsewhere_shows_none(root: Path, source: DecodedVideos) -> None:
    """QuickTime's alias names another file as the place of the frames; a reader that follows it shows that file's."""
    other = write_video(root.parent / "canary.mp4")
    canary = other.read_bytes()
    path = b"V" + str(other).replace("/", ":").encode()
    alias = b"".join(
        [
            bytes(10), b"\x01V", bytes(26), bytes(12), bytes([len(other.name)]), other.name.encode().ljust(63, b"\0"),
            bytes(16), bytes(4), bytes(16), struct.pack(">HH", 2, len(path)), path, bytes(len(path) % 2), b"\xff\xff",
        ]
    )  # fmt: skip
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    header = bytearray(canary[canary.index(b"moov") - 4 :])
    at = header.index(b"url ") - 4
    header[at : at + 12] = entry
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = header.index(box) - 4
        (size,) = struct.unpack(">I", header[start : start + 4])
        header[start : start + 4] = struct.pack(">I", size + len(entry) - 12)
    frames, end = canary.index(b"mdat") + 4, canary.index(b"moov") - 4
    (root / "a.mov").write_bytes(canary[:frames] + bytes(end - frames) + bytes(header))
    follows = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(root / "a.mov"), options=follows) as opened:
        assert len(list(opened.decode(video=0))) == 20, "the trap works on a reader that follows it"
    assert any(told in unreadable(source, ask("a.mov")) for told in NO_VIDEO)


def test_a_wrong_ending_makes_no_difference(root: Path, source: DecodedVideos) -> None:
    write_video(root / "a.mkv").rename(root / "a.mp4")
    write_video(root / "b.mp4").rename(root / "b.txt")
    assert shot(source.open(ask("a.mp4")).pixels()) == [2, 7, 12, 17]
    assert shot(source.open(ask("b.txt")).pixels()) == [2, 7, 12, 17]
    (root / "page.mp4").write_text("<!doctype html><title>404</title>")
    assert "not a video" in unreadable(source, ask("page.mp4"))


def test_sound_alone_has_no_video_stream(root: Path, source: DecodedVideos) -> None:
    with av.open(str(root / "sound.mp4"), "w") as container:
        write_sound(container)
    assert "has no video stream" in unreadable(source, ask("sound.mp4"))


def test_of_two_video_streams_the_first_is_shown(root: Path, source: DecodedVideos) -> None:
    with av.open(str(root / "two.mkv"), "w") as container:
        streams = [container.add_stream("mpeg4", rate=10) for _ in range(2)]
        for stream, size in zip(streams, ((64, 48), (32, 32)), strict=True):
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
        for number in range(20):
            for stream, grey in zip(streams, (10 * number + 20, 255), strict=True):
                picture = np.full((stream.height, stream.width, 3), grey, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    pixels = source.open(ask("two.mkv")).pixels()
    assert pixels.shape == (4, 48, 64, 3)
    assert shot(pixels) == [2, 7, 12, 17]


def test_one_frame_without_a_duration(root: Path, source: DecodedVideos) -> None:
    write_video(root / "one.mp4", frames=1)
    assert shot(source.open(ask("one.mp4")).pixels()) == [0, 0, 0, 0]


def test_a_header_that_says_no_duration(root: Path, source: DecodedVideos, decoder: Decoder) -> None:
    data = bytearray(write_video(root / "a.mp4").read_bytes())
    for box, at in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):  # version 0: where the duration stands
        start = data.index(box) + at
        data[start : start + 4] = bytes(4)
    (root / "zero.mp4").write_bytes(bytes(data))
    assert shot(source.open(ask("zero.mp4")).pixels()) == [2, 7, 12, 17]
    found = probe(root / "zero.mp4", decoder)
    assert found.facts
    assert (found.facts.decoded, found.defect) == (20, None)


def test_a_wide_frame_is_decoded(root: Path, source: DecodedVideos) -> None:
    write_many(root / "wide.mkv", 1, (16384, 64), "ffv1")
    assert source.open(ask("wide.mkv")).pixels().shape == (4, 64, 16384, 3)


@pytest.mark.parametrize(
    ("side", "reason"), [(9_000, "9000x9000 are larger"), (16_000, "16000x16000 are larger"), (65_535, "no frame")]
)
def test_a_frame_larger_than_any_is_refused_at_once(side: int, reason: str, root: Path, source: DecodedVideos) -> None:
    (root / "huge.mp4").write_bytes(gif(side, side))
    started = time.monotonic()
    assert reason in unreadable(source, ask("huge.mp4"))
    assert time.monotonic() - started < DEADLINE_S / 2


def test_the_same_picture_of_a_usual_size_is_decoded(root: Path, source: DecodedVideos) -> None:
    (root / "small.gif").write_bytes(gif(16, 16))
    assert source.open(ask("small.gif")).pixels().shape == (4, 16, 16, 3)


def test_a_hundred_thousand_frames_within_the_deadline(root: Path, source: DecodedVideos) -> None:
    write_many(root / "many.mkv", 100_000)
    video = source.open(ask("many.mkv"))
    assert video.end_s == pytest.approx(10_000)
    assert video.pixels().shape == (4, 16, 16, 3)


def test_a_rate_that_varies_and_a_gap(root: Path, source: DecodedVideos) -> None:
    write_video(root / "slides.mkv", frames=6, times=[0.0, 0.05, 0.1, 1.0, 1.5, 9.0])
    assert shot(source.open(ask("slides.mkv", 0.0, 9.1)).pixels()) == [3, 4, 4, 4]


def test_more_frames_promised_than_can_be_decoded(root: Path, source: DecodedVideos, decoder: Decoder) -> None:
    data = bytearray(write_video(root / "a.mp4", frames=60, size=(160, 120)).read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start + (end - start) // 4 : end] = bytes(end - start - (end - start) // 4)
    (root / "hurt.mp4").write_bytes(bytes(data))
    found = probe(root / "hurt.mp4", decoder)
    assert found.facts
    assert 0 < found.facts.decoded < found.facts.expected == 60
    assert "of 60 frames cannot be decoded" in str(found.defect)
    assert "cannot be decoded" in unreadable(source, ask("hurt.mp4"))


@pytest.mark.parametrize(
    "name",
    ["../canary.mp4", "a/../../canary.mp4", "{outside}/canary.mp4", "/dev/zero", "link.mp4", "folder/canary.mp4"],
)
def test_a_name_that_leads_outside_is_refused(name: str, root: Path, source: DecodedVideos) -> None:
    write_video(root.parent / "canary.mp4")
    (root / "link.mp4").symlink_to(root.parent / "canary.mp4")
    (root / "folder").symlink_to(root.parent)
    with pytest.raises(UserError, match="leads outside"):
        source.open(ask(name.format(outside=root.parent)))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a\0.mp4", "is no name of a file"),
        ("\udc80.mp4", "is no name of a file"),
        ("a" * 300 + ".mp4", "longer than a name"),
        ("/".join(["a" * 200] * 40), "longer than a name"),
        ("loop.mp4", "leads back to itself"),
    ],
)
def test_a_name_that_no_file_can_have_is_one_short_line(
    name: str, says: str, root: Path, source: DecodedVideos
) -> None:
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    with pytest.raises(UserError, match=says) as caught:
        source.open(ask(name))
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["..\\..\\canary.mp4", "C:\\canary.mp4", "file:canary.mp4", "concat:canary.mp4|b"])
def test_names_of_other_systems_and_protocols_are_plain_names(name: str, root: Path, source: DecodedVideos) -> None:
    write_video(root.parent / "canary.mp4")
    assert "no such file" in unreadable(source, ask(name))
    write_video(root / "a.mp4").rename(root / f"{name}.mp4")
    assert shot(source.open(ask(f"{name}.mp4")).pixels()) == [2, 7, 12, 17]


@pytest.mark.parametrize("name", ["pipe.mp4", "folder.mp4", ""])
def test_what_is_no_file_is_not_waited_for(name: str, root: Path, source: DecodedVideos) -> None:
    os.mkfifo(root / "pipe.mp4")
    (root / "folder.mp4").mkdir()
    assert "is a folder, a pipe or a device" in unreadable(source, ask(name))


SWAPS = {
    "a link": lambda root, outside: (root / "in/a.mp4").symlink_to(outside / "a.mp4"),
    "a link to itself": lambda root, outside: (root / "in/a.mp4").symlink_to(root / "in/a.mp4"),
    "a link inside": lambda root, outside: (root / "in/a.mp4").symlink_to(root / "a.mp4"),
    "a pipe": lambda root, outside: os.mkfifo(root / "in/a.mp4"),
    "a folder": lambda root, outside: (root / "in/a.mp4").mkdir(),
    "nothing": lambda root, outside: None,
    "a folder that is a link": lambda root, outside: ((root / "in").rmdir(), (root / "in").symlink_to(outside)),
}


@pytest.mark.parametrize("swap", SWAPS)
def test_what_is_put_in_place_of_a_checked_file_is_not_opened(swap: str, root: Path, source: DecodedVideos) -> None:
    """Whoever can write into the root can swap files behind the check."""
    outside = root.parent / "outside"
    write_video(root / "a.mp4")
    for folder in (root / "in", outside):
        folder.mkdir()
        write_video(folder / "a.mp4")
    video = source.open(ask("in/a.mp4"))
    (root / "in/a.mp4").unlink()
    SWAPS[swap](root, outside)
    started = time.monotonic()
    with pytest.raises(QuestionError) as caught:
        video.pixels()
    assert caught.value.outcome is Outcome.video_unreadable
    assert any(told in caught.value.reason for told in ("a link has been put", "is a folder", "no such file"))
    assert time.monotonic() - started < 5, "nothing was waited for"


def test_a_file_that_may_not_be_read_is_named(
    root: Path, source: DecodedVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    write_video(root / "a.mp4")
    monkeypatch.setattr(decode.os, "open", refuse)
    assert "cannot be opened (Permission denied)" in unreadable(source, ask("a.mp4"))


def test_no_descriptor_is_left_open(root: Path, source: DecodedVideos) -> None:
    write_video(root / "a.mp4")
    source.open(ask("a.mp4")).pixels()
    free = os.dup(0)
    os.close(free)
    (root / "bad.mp4").write_text("no")
    for _ in range(5):
        source._facts.clear()
        source._defects.clear()
        source.open(ask("a.mp4"))
        unreadable(source, ask("bad.mp4"))
        unreadable(source, ask("absent.mp4"))
    again = os.dup(0)
    os.close(again)
    assert again == free


def test_one_bad_file_does_not_end_the_table_of_a_folder(root: Path) -> None:
    write_video(root / "a.mp4")
    write_video(root.parent / "canary.mp4")
    (root / "b.mp4").symlink_to(root.parent / "canary.mp4")
    (root / "c.mp4").write_text("no")
    facts = examine(str(root), files_below(str(root), None), DEADLINE_S)
    assert facts["a.mp4"].facts
    assert (facts["a.mp4"].facts.decoded, facts["a.mp4"].defect) == (20, None)
    assert "leads outside" in str(facts["b.mp4"].defect)
    assert "not a video" in str(facts["c.mp4"].defect)


@pytest.mark.skipif(bool(missing(Layer.seccomp)), reason="no seccomp here")
def test_the_decoding_process_stands_behind_walls(root: Path, decoder: Decoder) -> None:
    write_video(root / "a.mp4")
    assert decoder.facts(root.resolve() / "a.mp4").decoded
    assert decoder._process is not None
    assert "Seccomp:\t2" in Path(f"/proc/{decoder._process.pid}/status").read_text()


@pytest.mark.parametrize("layer", [Layer.seccomp, Layer.landlock])
def test_a_decoder_that_has_been_taken_over_reaches_nothing(tmp_path: Path, layer: Layer) -> None:
    if why := missing(layer):
        pytest.skip(why)
    tries = (
        "open('/etc/passwd')",
        f"open({str(tmp_path / 'new')!r}, 'w')",
        "socket.create_connection(('127.0.0.1', 9))",
        "os.listdir('/')",
        f"os.mkdir({str(tmp_path / 'folder')!r})",
        *(("os.fork()", "os.kill(os.getppid(), 0)") if layer is Layer.seccomp else ()),
    )
    code = "import ctypes, json, os, socket, sys, encodings.idna\nfrom aotd.video.worker import raise_layers\n"
    code += "raise_layers(json.loads(sys.argv[1]), ctypes.CDLL(None, use_errno=True))\nheld = 0\n"
    for line in tries:
        code += f"try:\n    {line}\nexcept PermissionError:\n    held += 1\n"
    layers = {name: value if name == layer.value else 0 for name, value in launch._layers().items()}
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}print(held)", json.dumps(layers)], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == str(len(tries)), ran.stderr
    assert not [*tmp_path.iterdir()]
