"""Small videos made on the spot: each frame is one grey, so that a frame's brightness tells when it was shot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition


def write_video(
    path: Path,
    frames: int = 20,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    times: Sequence[float] | None = None,
    codec: str = "mpeg4",
) -> Path:
    """Frame `i` has brightness `10 * i + 20`, and a white corner at the top left.

    Args:
        size: width, height.
        times: seconds at which each frame is shown, for a variable frame rate.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        ticks = 100 if times else fps
        stream.codec_context.time_base = Fraction(1, ticks)
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 10 * (number % 20) + 20, np.uint8)
            picture[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = round(times[number] * ticks) if times else number
            frame.time_base = Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_moving(
    path: Path,
    codec: str,
    frames: int = 120,
    options: dict[str, str] | None = None,
    times: Sequence[float] | None = None,
    muxing: dict[str, str] | None = None,
    size: tuple[int, int] = (96, 64),
) -> Path:
    """A square that moves over a still texture, 25 frames a second; no two frames are alike.

    Args:
        options: of the encoder.
        times: as for `write_video`.
        muxing: of the container.
        size: width, height.
    """
    rng = np.random.default_rng(7)
    texture = rng.integers(60, 200, (size[1], size[0], 3), dtype=np.uint8)
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        clock = Fraction(1, 1000) if times else Fraction(1, 25)
        stream.codec_context.time_base = clock
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = texture.copy()
            left, top = 3 * number % (size[0] - 16), 2 * number % (size[1] - 16)
            picture[top : top + 16, left : left + 16] = (2 * number % 256, 250 - 2 * number % 250, 128)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = round(times[number] * 1000) if times else number
            frame.time_base = clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turn(path: Path, quarter: int) -> None:
    """Write a rotation into the header of an mp4: `quarter` turns clockwise of 90 degrees (1 or 3).

    The matrix in the track header is the last thing before its width and height: nine fixed-point numbers.
    """
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd")
    whole = (1 << 16).to_bytes(4, "big")
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    zero = bytes(4)
    first, second = (whole, minus) if quarter == 1 else (minus, whole)
    matrix = zero + first + zero + second + zero + zero + zero + zero + (1 << 30).to_bytes(4, "big")
    start = at + 4 + 4 + 36  # version and flags, then times, id, duration, layer, volume
    assert bytes(data[start : start + 4]) == whole, "the identity matrix stands here"
    data[start : start + 36] = matrix
    path.write_bytes(bytes(data))


def write_streams(path: Path, order: str, disposition: Disposition | None = None, **how: Any) -> Path:
    """Streams in some order: `f` is a film of 20 frames, 64x48; `p` a small preview of it, 16x16; `c` a cover of one
    frame, 200x200; `s` two seconds of silence; `a` a cover as an attachment.

    Args:
        disposition: of the cover.
        how: `codec` of the film, `cover` of the cover and `previews`, the preview's number of frames; `format`.
    """
    codecs = {"f": how.get("codec", "mpeg4"), "p": how.get("codec", "mpeg4"), "c": how.get("cover", "mjpeg")}
    sizes = {"f": (64, 48), "p": (16, 16), "c": (200, 200)}
    counts = {"f": 20, "p": how.get("previews", 20), "c": 1}
    with av.open(str(path), "w", format=how.get("format")) as container:
        streams: dict[str, Any] = {}
        for kind in order:
            if kind == "s":
                streams[kind] = container.add_stream("aac", rate=8000, layout="mono")
            elif kind == "a":
                container.add_attachment("cover.jpg", "image/jpeg", picture())
            else:
                stream = streams[kind] = container.add_stream(codecs[kind], rate=25)
                stream.width, stream.height = sizes[kind]
                stream.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codecs[kind], "yuv420p")
                if kind == "c" and disposition:
                    stream.disposition = disposition
        for number in range(20):
            for kind in sizes.keys() & streams.keys():
                if number < counts[kind]:
                    stream = streams[kind]
                    grey = np.full((stream.height, stream.width, 3), 10 * number + 20, np.uint8)
                    frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=stream.pix_fmt)
                    frame.pts, frame.time_base = number, Fraction(1, 25)
                    container.mux(stream.encode(frame))
        if "s" in streams:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 8000, 0
            container.mux(streams["s"].encode(silence))
        for stream in streams.values():
            container.mux(stream.encode())
    return path


def picture() -> bytes:
    """A JPEG."""
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 200
        stream.pix_fmt = "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(200, 200, "yuvj420p")))
        container.mux(stream.encode())
    return out.getvalue()
