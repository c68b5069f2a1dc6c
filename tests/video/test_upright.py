"""Frames of all kinds of video open, stand upright and show the colours that were written."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aotd.video.clip import Pixels
from aotd.video.facts import VideoFacts
from aotd.video.reader import read_facts, sampled

X265 = {"x265-params": "log-level=none:pools=none"}

KINDS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "8 bits": ("a.mp4", "libx264", "yuv420p", {}),
    "10 bits": ("a.mkv", "libx265", "yuv420p10le", {"options": X265}),
    "10 bits, H.264": ("a.mp4", "libx264", "yuv420p10le", {}),
    "12 bits, all colours": ("a.mkv", "libx265", "yuv444p12le", {"options": X265}),
    "full range": ("a.mp4", "libx264", "yuvj420p", {}),
    "half the colours": ("a.mp4", "libx264", "yuv422p", {}),
    "red, green, blue": ("a.mp4", "libx264rgb", "rgb24", {}),
    "grey": ("a.mp4", "libx264", "gray", {}),
    "grey of 16 bits": ("a.mkv", "ffv1", "gray16le", {}),
    "alpha, VP9": ("a.webm", "libvpx-vp9", "yuva420p", {}),
    "alpha, ProRes": ("a.mov", "prores_ks", "yuva444p10le", {}),
    "alpha, animation": ("a.mov", "qtrle", "argb", {}),
    "pictures": ("a.avi", "mjpeg", "yuvj420p", {}),
    "pictures with alpha": ("a.mov", "png", "rgba", {}),
    "colours of a palette": ("a.gif", "gif", "rgb8", {}),
    "not compressed": ("a.avi", "rawvideo", "yuv420p", {}),
    "odd sides": ("a.mkv", "ffv1", "yuv420p", {"size": (161, 97)}),
    "odd sides, VP9": ("a.webm", "libvpx-vp9", "yuv420p", {"size": (161, 97)}),
    "odd sides, MPEG-4": ("a.avi", "mpeg4", "yuv420p", {"size": (161, 97), "rate": 25}),
    "odd sides, H.264": ("a.mp4", "libx264", "yuv444p", {"size": (161, 97)}),
    "very wide": ("a.mp4", "libx264", "yuv420p", {"size": (2048, 16)}),
    "pixels that are no squares": ("a.mp4", "libx264", "yuv420p", {"aspect": Fraction(4, 3)}),
    "interlaced": ("a.mp4", "libx264", "yuv420p", {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}}),
    "interlaced, MPEG-2": ("a.ts", "mpeg2video", "yuv420p", {"options": {"flags": "+ildct+ilme"}, "rate": 25}),
    "B-frames": ("a.mp4", "libx264", "yuv420p", {"options": {"bf": "4"}, "frames": 30}),
    "one frame": ("a.mp4", "libx264", "yuv420p", {"frames": 1}),
    "one frame, Matroska": ("a.mkv", "libx264", "yuv420p", {"frames": 1}),
    "one frame, WebM": ("a.webm", "libvpx", "yuv420p", {"frames": 1}),
    "one frame, AVI": ("a.avi", "mpeg4", "yuv420p", {"frames": 1, "rate": 25}),
    "one frame, transport stream": ("a.ts", "libx264", "yuv420p", {"frames": 1}),
    "one frame, GIF": ("a.gif", "gif", "rgb8", {"frames": 1}),
    "a late beginning": ("a.mp4", "libx264", "yuv420p", {"first": 50}),
    "a late beginning, Matroska": ("a.mkv", "libx264", "yuv420p", {"first": 50}),
    "a late beginning, transport stream": ("a.ts", "libx264", "yuv420p", {"first": 50}),
    "before the beginning": ("a.mkv", "libx264", "yuv420p", {"first": -5}),
    "high dynamic range": ("a.mp4", "libx265", "yuv420p10le", {"options": {"x265-params":
        "log-level=none:pools=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}}),
}  # fmt: skip


def chart(width: int, height: int) -> Pixels:
    """Grey, with a white, a red and a blue corner: each shows where it has come to."""
    found = np.full((height, width, 3), 60, np.uint8)
    found[: height // 3, : width // 3] = 255
    found[: height // 3, 2 * width // 3 :] = (255, 0, 0)
    found[2 * height // 3 :, : width // 3] = (0, 0, 255)
    return found


def write(
    path: Path,
    codec: str,
    layout: str,
    size: tuple[int, int] = (96, 64),
    rate: int = 10,
    frames: int = 10,
    first: int = 0,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    prepare: Callable[[Any], object] = lambda stream: None,
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = layout
        stream.codec_context.thread_count = 1
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        prepare(stream)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(chart(*size), format="rgb24").reformat(format=layout)
            frame.pts, frame.time_base = first + number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read(path: Path) -> tuple[VideoFacts, Pixels]:
    """What it is, and its last frame."""
    file = io.BytesIO(path.read_bytes())
    facts = read_facts(file, every_frame=True)
    file.seek(0)
    *_, (_, _, pixels) = sampled(file, [facts.duration_s * 0.1, facts.duration_s * 0.9])
    return facts, pixels


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_and_is_shown_right(kind: str, tmp_path: Path) -> None:
    name, codec, layout, how = KINDS[kind]
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"there is no encoder {codec}")
    write(tmp_path / name, codec, layout, **how)
    facts, pixels = read(tmp_path / name)
    frames, (width, height) = how.get("frames", 10), how.get("size", (96, 64))
    assert (facts.decoded, facts.expected, facts.damaged, facts.cut) == (frames, frames, 0, False)
    assert (facts.width, facts.height, facts.rotation) == (width, height, 0)
    assert facts.duration_s == pytest.approx(frames / how.get("rate", 10))
    assert pixels.shape == (height, width, 3)
    corners = pixels[height // 8, width // 8], pixels[height // 8, -width // 8], pixels[-height // 8, width // 8]
    white, red, blue = (corner.astype(int) for corner in corners)
    assert white.min() > 200
    if "gr" in layout and "argb" not in layout:
        assert max(np.ptp(red), np.ptp(blue)) < 9
    else:
        assert red[0] > 150 > red[1:].max()
        assert blue[2] > 150 > blue[:2].max()


def test_pictures_that_are_not_to_be_shown_are_no_missing_frames(tmp_path: Path) -> None:
    """VP8 keeps some of them beside the frames, to make others from."""
    write(tmp_path / "a.webm", "libvpx", "yuv420p", options={"deadline": "realtime"})
    with av.open(str(tmp_path / "a.webm")) as container:
        heads = [(packet.pos, bytes(packet)[:9]) for packet in container.demux(video=0) if packet.size]
    data = bytearray((tmp_path / "a.webm").read_bytes())
    for place, head in heads[4:6]:
        data[data.index(head, place)] &= ~16
    facts = read_facts(io.BytesIO(bytes(data)), every_frame=True)
    assert (facts.decoded, facts.expected, facts.damaged) == (8, 8, 0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_and_mirrored_frames_stand_upright(degrees: int, name: str, tmp_path: Path) -> None:
    """All eight ways in which a camera can say that it was held, and a selfie that it was mirrored."""
    for across, down in product((False, True), repeat=2):

        def held(stream: Any, across: bool = across, down: bool = down) -> None:
            stream.set_display_rotation(degrees, hflip=across, vflip=down)

        write(tmp_path / name, "libx264", "yuv444p", frames=2, options={"qp": "1"}, prepare=held)
        facts, pixels = read(tmp_path / name)
        wanted = np.rot90(chart(96, 64), degrees // 90)
        wanted = wanted[:, ::-1] if across else wanted
        wanted = wanted[::-1] if down else wanted
        assert (facts.height, facts.width, 3) == pixels.shape == wanted.shape
        assert np.abs(pixels.astype(int) - wanted).mean() < 8, (across, down)
