"""The decoding process: takes one request at a time on stdin, answers on stdout, imports PyAV, numpy and its own walls.

Started by `aotd.video.decode`, which may kill it at any moment; nothing it says is trusted there. A
message is a 4-byte big-endian length, that many bytes of JSON, and, where the JSON names `bytes`, that
many raw bytes. Requests and their replies:

    {"do": "facts"}           -> {"facts": {…}}                         container read, first frame decoded
    {"do": "probe"}           -> {"facts": {…}}                         every frame decoded
    {"do": "frames", "times"} -> {"first", "copies", "shape", "bytes"} + RGB, …, {"end": true}

and `{"error": "…"}` in place of any of them. Stdin is a Unix socket: the descriptor of the video file comes
with the length of each request. Every request carries `deadline_s`, after which the process ends itself,
should nobody be left to kill it.

Once it has begun to serve, it opens no file and no socket, starts no thread and no process, and imports
nothing. So it raises the sandbox's layers around itself before it does: its one argument says which. (For an
MPEG-TS the C library looks for a table of characters; where it may not, a name of a channel is lost that nobody
reads.)
"""

from __future__ import annotations

import array  # noqa: F401  socket.recv_fds imports it when it is called
import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import av
import numpy as np

from aotd.sandbox.child import raise_layers

for _part in ("audio", "video", "subtitles", "data", "attachments"):  # PyAV imports them when it meets such a stream
    for _module in ("stream", "codeccontext"):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"av.{_part}.{_module}")

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif"
"""Containers that hold their own frames. Playlists (hls, concat, dash) are left out: they open other files."""
MEMORY_BYTES = 6 << 30
"""Address space of this process."""
MOST_PIXELS = 1 << 26
"""The largest frame, 8192x8192; a header can promise more than any memory holds."""
HELD_S = 0.5
"""How long the frame before may stand in for frames that cannot be decoded."""


def _one_thread() -> dict[str, int]:
    """Newer PyAV scales a frame in as many threads as there are CPUs, unless told; older PyAV cannot be told."""
    try:
        av.VideoFrame(16, 16, "yuv420p").to_ndarray(format="rgb24", threads=1)
    except TypeError:
        return {}
    return {"threads": 1}


ONE_THREAD = _one_thread()


class UnreadableError(Exception):
    """The file is not a video that can be used; the message says why."""


@dataclass(frozen=True)
class Facts:
    """What a container says and what was found in it. Times in seconds from the container's start."""

    codec: str
    width: int
    """Of the upright frame."""
    height: int
    rotation: int
    """Degrees by which stored frames are turned counterclockwise to stand upright: 0, 90, 180 or 270."""
    fps: float | None
    duration_s: float
    """Where the last frame ends."""
    promised_s: float | None
    """The duration in the container's header."""
    promised: int
    """Frames to show: the packets found, or what the header of a file that is cut says."""
    decoded: int
    """Frames that were decoded: all that can be for `probe`, the first for `facts`."""
    damaged: int
    """Decoded frames that the decoder marks as damaged, and packets it refuses."""
    cut: bool
    """The file ends well before its header says."""


class Reader:
    """One pass over a video file."""

    def __init__(self, file: BinaryIO) -> None:
        # No protocol at all: FFmpeg is given the bytes, and opens nothing that they name.
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        try:
            self.container = av.open(file, "r", options=options, metadata_errors="ignore")
        except av.FFmpegError as error:
            raise UnreadableError(f"not a video that can be opened ({error.strerror})") from None
        if not self.container.streams.video:
            raise UnreadableError("has no video stream")
        self.stream = self.container.streams.video[0]
        codec = self.stream.codec_context
        if codec is None:
            raise UnreadableError("its codec is not known")
        if codec.width * codec.height > MOST_PIXELS:
            raise UnreadableError(
                f"its frames of {codec.width}x{codec.height} are larger than {MOST_PIXELS >> 20} Mi pixels"
            )
        codec.thread_count = 1
        codec.options = {"max_pixels": str(MOST_PIXELS)}  # a later frame may be larger than the header says
        self.start_s = (self.container.start_time or 0) / av.time_base
        rate = self.stream.average_rate
        self.fps = float(rate) if rate else None
        self.packets: list[float] = []
        """Times of the stream's packets read so far; a demuxer may leave some out."""
        self.count = 0
        self.discarded = 0
        """Packets that an edit list leaves out of the show."""
        self.damaged = 0
        self.end_s = 0.0
        self.any_end_s = 0.0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.container.close()

    def demux(self) -> Iterator[Any]:
        """The packets of the video stream, flushing one at the end; notes where every stream ends."""
        step_s = 1 / self.fps if self.fps else 0.0
        try:
            for packet in self.container.demux():
                ours = packet.stream is self.stream
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is not None and packet.time_base and packet.size:
                    time_s = float(stamp * packet.time_base) - self.start_s
                    length_s = float((packet.duration or 0) * packet.time_base)
                    self.any_end_s = max(self.any_end_s, time_s + length_s)
                    if ours and not packet.is_discard:
                        self.packets.append(time_s)
                        self.end_s = max(self.end_s, time_s + (length_s or step_s))
                if ours:
                    self.count += bool(packet.size)
                    self.discarded += bool(packet.size) and packet.is_discard
                    yield packet
        except av.FFmpegError:
            self.damaged += 1  # the container breaks off; `cut` says whether much is missing

    def frames(self) -> Iterator[tuple[float, Any]]:
        """The frames that can be decoded, with the moments at which they are first shown, ascending."""
        shown_s = 0.0
        for packet in self.demux():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for frame in decoded:
                stamp = frame.pts if frame.pts is not None else frame.dts
                if stamp is not None and frame.time_base:
                    shown_s = max(shown_s, float(stamp * frame.time_base) - self.start_s)
                self.damaged += frame.is_corrupt
                yield shown_s, frame

    def promised_s(self) -> float | None:
        if self.container.format.name == "avi" and self.stream.frames and self.fps:
            return self.stream.frames / self.fps  # `duration` is already shortened to what a cut file holds
        return self.container.duration / av.time_base if self.container.duration else None

    def promised(self) -> int:
        """Frames to show; a file that is not cut holds as many packets, whatever its header counts."""
        held = self.count - self.discarded
        return max(held, (self.stream.frames or 0) - self.discarded) if self.cut() else held

    def cut(self) -> bool:
        promised_s = self.promised_s()
        return promised_s is not None and self.any_end_s < promised_s - max(HELD_S, 0.02 * promised_s)


def turned(frame: Any) -> int:
    """Degrees counterclockwise by which a frame is turned to stand upright."""
    return int(round(frame.rotation / 90) * 90) % 360


def read_facts(file: BinaryIO, every_frame: bool) -> Facts:
    """Facts of a video file.

    Raises:
        UnreadableError: not a video, or no frame of it can be decoded.
    """
    with Reader(file) as reader:
        first, decoded = None, 0
        for _, frame in reader.frames():
            first = first or frame
            decoded += 1
            if not every_frame:
                for _packet in reader.demux():  # to the end of the file, without decoding
                    pass
                break
        if first is None:
            raise UnreadableError("no frame of it can be decoded" if reader.count else "holds no frames")
        rotation = turned(first)
        width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        return Facts(
            codec=reader.stream.codec_context.name,
            width=width,
            height=height,
            rotation=rotation,
            fps=reader.fps,
            duration_s=reader.end_s,
            promised_s=reader.promised_s(),
            promised=reader.promised(),
            decoded=decoded,
            damaged=reader.damaged,
            cut=reader.cut(),
        )


def sampled(file: BinaryIO, times: list[float]) -> Iterator[tuple[int, int, Any]]:
    """The frames shown at `times` (ascending): (index of the first moment, how many moments, RGB `[h, w, 3]`).

    Raises:
        UnreadableError: no frame is shown at one of the moments.
    """
    with Reader(file) as reader:
        size: tuple[int, int] | None = None
        held: tuple[float, Any] | None = None
        number = 0

        def moments_until(next_s: float) -> int:
            count = 0
            while number + count < len(times) and times[number + count] < next_s:
                count += 1
            return count

        for time_s, frame in reader.frames():
            if held is not None and (copies := moments_until(time_s)):
                _check_held(reader, held[0], times[number + copies - 1], time_s)
                yield number, copies, upright(held[1], size)
                number += copies
                if number == len(times):
                    return
            size = size or (frame.width, frame.height)
            held = (time_s, frame)
        if held is None:
            raise UnreadableError("no frame of it can be decoded" if reader.count else "holds no frames")
        end_s = max(reader.end_s, held[0]) if reader.packets else held[0]
        if times[-1] > end_s + HELD_S:
            raise UnreadableError(f"ends at {end_s:.2f} s; the frame at {times[-1]:.2f} s is missing")
        _check_held(reader, held[0], times[-1], end_s)
        yield number, len(times) - number, upright(held[1], size)


def _check_held(reader: Reader, held_s: float, moment_s: float, next_s: float) -> None:
    """A frame may be shown for long where no other is due, but not in place of frames that are damaged."""
    due = [time_s for time_s in reader.packets if held_s + 1e-3 < time_s < min(moment_s, next_s) - 1e-3]
    if due and moment_s - held_s > HELD_S:
        raise UnreadableError(f"{len(due)} frames between {held_s:.2f} s and {moment_s:.2f} s cannot be decoded")


def upright(frame: Any, size: tuple[int, int] | None) -> Any:
    """A frame as RGB in the size of the first one, turned upright: `[height, width, 3]`, uint8, contiguous."""
    width, height = size or (frame.width, frame.height)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, **ONE_THREAD)
    return np.ascontiguousarray(np.rot90(pixels, turned(frame) // 90))


def send(out: BinaryIO, header: dict[str, Any], raw: Any = None) -> None:
    text = json.dumps(header).encode()
    out.write(struct.pack(">I", len(text)) + text)
    if raw is not None:
        out.write(memoryview(raw).cast("B"))
    out.flush()


def receive(wire: socket.socket) -> tuple[dict[str, Any], BinaryIO] | None:
    """The next request and its file, from the beginning; None where nobody will ask any more."""
    head, files, _, _ = socket.recv_fds(wire, 4, 1)
    if not head:
        return None
    left = struct.unpack(">I", head)[0]
    text = bytearray()
    while len(text) < left:
        if not (piece := wire.recv(left - len(text))):
            return None
        text += piece
    return json.loads(text), os.fdopen(files[0], "rb", buffering=0)


def answer(request: dict[str, Any], file: BinaryIO, out: BinaryIO) -> None:
    """Answer one request."""
    try:
        if request["do"] in ("facts", "probe"):
            send(out, {"facts": asdict(read_facts(file, every_frame=request["do"] == "probe"))})
            return
        for first, copies, pixels in sampled(file, request["times"]):
            send(out, {"first": first, "copies": copies, "shape": pixels.shape, "bytes": pixels.nbytes}, pixels)
        send(out, {"end": True})
    except UnreadableError as error:
        send(out, {"error": str(error)})
    except (av.FFmpegError, ValueError, OSError) as error:
        send(out, {"error": f"decoding failed ({type(error).__name__}: {error})"[:300]})
    except MemoryError:
        send(out, {"error": "decoding needs more memory than it may use"})


def main() -> None:
    av.logging.set_level(av.logging.PANIC)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # a system without the limit is protected by the parent's checks only
    wire, out = socket.socket(fileno=sys.stdin.fileno()), sys.stdout.buffer
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    raise_layers(json.loads(sys.argv[1]), libc)  # type: ignore[no-untyped-call]
    while received := receive(wire):
        request, file = received
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, request["deadline_s"] + 5)
        with file:
            answer(request, file, out)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
