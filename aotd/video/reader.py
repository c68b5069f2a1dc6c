"""Reading a video file: what its container says, and its frames at some moments.

Runs in the decoding process (`aotd.video.worker`), which knows nothing else of this package than this, `groups` and
its own walls.
"""

from __future__ import annotations

import math
import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import Any, BinaryIO, Literal

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from aotd.video.ending import Ending, ending
from aotd.video.facts import VideoFacts
from aotd.video.gop import FORMATS as REGULAR
from aotd.video.gop import Group, Held, OddError, Reading, groups, needed, reading

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif"
"""Containers that hold their own frames. Playlists (hls, concat, dash) are left out: they open other files."""
STILLS = "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe"
"""Pictures: each is a video of one frame. That of numbered pictures (image2) is left out: it opens other files."""
SOUND = "mp3,flac,wav,aiff"
"""Containers of music, which may have a cover: they are opened to say that there is no video."""
MOST_PIXELS = 1 << 26
"""The largest frame, 8192x8192; a header can promise more than any memory holds."""
HELD_S = 0.5
"""How long the frame before may stand in for frames that cannot be decoded."""
LOST = 0.02
"""The share of a video that may be missing at its end."""
PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""Marks of a stream that is a cover, chapters' pictures, or one still."""
PICTURES = {"mjpeg", "ljpeg", "jpegls", "jpeg2000", "jpegxl", "png", "bmp", "gif", "tiff", "webp", "targa", "ppm"}
"""Codecs of single pictures, which also films are made of."""
ONLY_PICTURE = "has no video stream: it holds only a picture, as music has a cover"
FEW = 5
"""A stream of fewer packets is less of a film than one that has them; as in FFmpeg's choice of a best stream."""
LOOKED_AT = 500
"""Packets that are looked at to choose a stream."""
PREVIEW = 4
"""A stream whose frames are so many times smaller than another's is a preview of it."""
TABLED = "mov,mp4,m4a,3gp,3g2,mj2"
"""The container whose header says how long each stream is."""
JUMPY = {"mpegts", "mpeg"}
"""Containers whose clock may begin anew in the middle: where a broadcast or a disc goes on to another part, and where
files were joined end to end."""
BACK_S, AHEAD_S = 0.1, 10.0
"""A clock that goes back or ahead by more has jumped, as FFmpeg's command-line tool has it."""
TIMED_BY_ITS_END = {"mpegts", "mpeg", "ogg"}
"""Containers without a duration in the header: FFmpeg takes that of the last packets there are."""


class UnreadableError(Exception):
    """The file is not a video that can be used; the message says why."""


Progress = Callable[[], object]
"""Is called for each packet that is read or decoded."""


def unheard() -> None:
    """Nobody asks how far it has come."""


def _open(file: BinaryIO) -> Any:
    # No protocol at all: FFmpeg is given the bytes, and opens nothing that they name.
    options = {"format_whitelist": f"{FORMATS},{STILLS},{SOUND}", "protocol_whitelist": "none"}
    try:
        return av.open(file, "r", options=options, metadata_errors="ignore")
    except av.FFmpegError as error:
        raise UnreadableError(f"not a video that can be opened ({error.strerror})") from None


def _film(packets: dict[Any, int]) -> Any:
    """Which of several video streams is the film: no picture and no preview; then what players show, the marked one,
    the larger one, the first."""
    areas = {one: one.codec_context.width * one.codec_context.height if one.codec_context else 0 for one in packets}

    def rank(one: Any) -> tuple[bool | int, ...]:
        known = one.codec_context is not None
        moves = known and not _is_picture(one)
        preview = known and PREVIEW * areas[one] <= max(areas.values())
        marked = bool(one.disposition & Disposition.default)
        return min(packets[one], FEW), known, moves, not preview, marked, areas[one], -one.index

    return max(packets, key=rank)


def _is_picture(stream: Any) -> bool:
    """Whether its codec is one for single pictures."""
    return stream.codec_context.codec.canonical_name in PICTURES


class Reader:
    """One pass over a video file."""

    def __init__(self, file: BinaryIO, progress: Progress = unheard) -> None:
        """Args:
            file: from its beginning.

        Raises:
            UnreadableError: there is no video in it that can be decoded.
        """
        self._file = file
        self._progress = progress
        self.container = _open(file)
        chosen = self._chosen()
        self.stream = self.container.streams[chosen]
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
        self.packets_end_s = 0.0
        """Where the last packet ends."""
        self.any_end_s = 0.0
        """Where the last packet of any stream ends."""
        self._shift = 0
        """How far the clock has jumped so far, in the stream's ticks."""
        self._due: int | None = None
        """When the next packet is due, in the same."""
        self.size = (0, 0)
        """Width and height of the first frame that was decoded, as it is stored; zeros before."""

    def _chosen(self) -> int:
        """The number of the stream that is the film. Of several, packets are looked at, and the file is opened anew."""
        streams = self.container.streams
        films = [stream for stream in streams.video if not stream.disposition & PICTURE]
        if not films:
            raise UnreadableError(ONLY_PICTURE if streams.video else "has no video stream")
        if len(films) == 1:
            return int(films[0].index)
        packets = dict.fromkeys(films, 0)
        try:
            for packet, _ in zip(self.container.demux(films), range(LOOKED_AT), strict=False):
                self._progress()
                packets[packet.stream] += bool(packet.size)
                if min(packets.values()) >= FEW:
                    break
        except av.FFmpegError:
            pass
        found = _film(packets).index
        self.container.close()
        self._file.seek(0)
        self.container = _open(self._file)
        return int(found)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.container.close()

    def demux(self) -> Iterator[Any]:
        """The packets of the video stream, flushing one at the end; notes where every stream ends."""
        step_s = 1 / self.fps if self.fps else 0.0
        clock = self.stream.time_base
        jumpy = self.container.format.name in JUMPY
        vp8 = self.stream.codec_context.name == "vp8"  # some of its packets hold a picture that is not to be shown
        try:
            for packet in self.container.demux():
                self._progress()
                ours = packet.stream is self.stream
                if ours and packet.dts is not None and jumpy:
                    self._join(packet)
                stamp = packet.pts if packet.pts is not None else packet.dts
                base = clock if ours else packet.time_base
                if stamp is not None and base and packet.size:
                    time_s = stamp * base.numerator / base.denominator - self.start_s
                    length_s = (packet.duration or 0) * base.numerator / base.denominator
                    self.any_end_s = max(self.any_end_s, time_s + length_s)
                    if ours and not packet.is_discard:
                        self.packets.append(time_s)
                        if not packet.is_corrupt:  # such as the half of one
                            self.packets_end_s = max(self.packets_end_s, time_s + (length_s or step_s))
                if ours:
                    self.count += bool(packet.size) and not (vp8 and not memoryview(packet)[0] & 16)
                    self.discarded += bool(packet.size) and packet.is_discard
                    yield packet
        except av.FFmpegError:
            self.damaged += 1  # the container breaks off; `cut` says whether much is missing
        except IndexError:
            pass  # PyAV ends the streams in their order, and knows none that came up in the middle, behind ours

    def _join(self, packet: Any) -> None:
        """Have a packet follow the one before, where the clock has jumped between them."""
        second = 1 / self.stream.time_base
        packet.dts += self._shift
        late = packet.dts - self._due if self._due is not None else 0
        if not -BACK_S * second <= late <= AHEAD_S * second:
            self._shift -= late
            packet.dts -= late
        if packet.pts is not None:
            packet.pts += self._shift
        self._due = packet.dts + (packet.duration or 0)

    def frames(self) -> Iterator[tuple[float, Any]]:
        """The frames that can be decoded, with the moments at which they are first shown, ascending."""
        shown_s = 0.0
        for packet in self.demux():
            self._progress()
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
                self.size = self.size if any(self.size) else (frame.width, frame.height)
                yield shown_s, frame

    def reading(self) -> Reading | None:
        """How to tell the groups of this video; None where they cannot be told."""
        if self.container.format.name not in REGULAR:
            return None
        codec = self.stream.codec_context
        return reading(codec.name, bytes(codec.extradata or b""))

    def held(self, read: Reading) -> Iterator[Held]:
        """The packets of the video stream, for `aotd.video.gop`.

        Raises:
            OddError: they are not what they are said to be there.
        """
        for packet in self.demux():
            if not packet.size:
                continue
            if packet.pts is None or packet.is_discard or packet.is_corrupt or packet.has_sidedata("new_extradata"):
                raise OddError("a packet that is not shown, not whole, or of another kind than the others")
            if not self.packets:
                raise OddError("there is no clock")
            yield Held(packet, packet.pts, self.packets[-1], read(bytes(packet)))
        if self.damaged:
            raise OddError("the container breaks off")

    def decode(self, packets: list[Held], wanted: Collection[int]) -> Iterator[Any]:
        """The frames with some `pts` of packets with which decoding may begin, in the order in which they are shown.

        Raises:
            OddError: not every packet gives its one sound frame, in that order.
            FFmpegError: one cannot be decoded.
        """
        codec = self.stream.codec_context
        due: set[int] = set()
        before = None
        for packet in (*(one.packet for one in packets), None):  # none: what is still inside comes out
            self._progress()
            if packet is not None:
                due.add(packet.pts)
            for frame in codec.decode(packet):
                if frame.pts not in due or frame.is_corrupt or (before is not None and frame.pts <= before):
                    raise OddError("a frame that is damaged, not of these packets, or not in its place")
                due.remove(frame.pts)
                before = frame.pts
                self.size = self.size if any(self.size) else (frame.width, frame.height)
                if frame.pts in wanted:
                    yield frame
        if due:
            raise OddError("packets without a frame")
        codec.flush_buffers()

    def container_s(self) -> float | None:
        """The container's duration; None where its header does not say one."""
        if self.container.format.name == "avi" and self.stream.frames and self.fps:
            return float(self.stream.frames / self.fps)  # `duration` is already shortened to what a cut file holds
        if self.container.format.name in TIMED_BY_ITS_END or not self.container.duration:
            return None
        return float(self.container.duration / av.time_base)

    def _tagged_s(self) -> float | None:
        """Where the video stream ends by its tag in Matroska, which counts how long the last frame stands."""
        container_s, tags = self.container_s(), self.stream.metadata
        for name in sorted(tags, key=len):  # FFmpeg's own before `DURATION-eng`, which may be copied from another file
            if name.partition("-")[0] == "DURATION" and (found := _clock(tags[name])) is not None:
                stale = container_s is None or found > container_s + HELD_S
                return None if stale else found - self.start_s
        return None

    def _told_s(self) -> float | None:
        """Where the video ends by the header: the stream where that is told, else the container. Once all packets are
        read."""
        if self.container.format.name not in TABLED:
            return self._tagged_s() or self.container_s()
        if not self.stream.duration or self.count > self.stream.frames:
            return None  # of fragments, FFmpeg adds up those that it finds
        ticks = (self.stream.start_time or 0) + self.stream.duration
        return float(ticks * self.stream.time_base) - self.start_s

    @cached_property
    def _ending(self) -> Ending:
        return ending(self._file, self.container.format.name)

    def end_s(self) -> float:
        """Where the last frame ends; once all packets are read. One that stands still has a short packet, or a packet
        without a length; how long it is shown, the stream's own duration says."""
        told_s = self._tagged_s()
        if told_s is None or not _lacks(self.packets_end_s, told_s) or self._ending is not Ending.whole:
            return self.packets_end_s
        return told_s

    def expected(self) -> int:
        """Frames to show; a file that is not cut holds as many packets, whatever its header counts."""
        held = self.count - self.discarded
        return max(held, (self.stream.frames or 0) - self.discarded) if self.cut() else held

    def cut(self) -> bool:
        """Whether the file ends before its video does; once all packets are read. What a header says of time makes
        one suspect, and its container's parts decide."""
        told_s, container_s = self._told_s(), self.container_s()
        if told_s is not None and self.packets_end_s >= (1 - LOST) * told_s:
            return False
        if self._ending is not Ending.untold or container_s is None:
            return self._ending is Ending.torn
        return _lacks(self.any_end_s, container_s)


def _lacks(end_s: float, told_s: float) -> bool:
    """Whether an end is well before the one that a header tells; a whole number of seconds may be rounded up."""
    return end_s < told_s - max(1.0 if told_s == round(told_s) else HELD_S, LOST * told_s)


def _clock(text: str) -> float | None:
    """Seconds of `00:00:07.900000000`."""
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def turned(frame: Any) -> tuple[Literal[0, 90, 180, 270], bool]:
    """How a frame is made to stand upright: mirrored from left to right where it says so, and then turned by so many
    degrees counterclockwise.

    Source: FFmpeg's libavutil/display.h.
    """
    found = frame.side_data.get(SideData.DISPLAYMATRIX)
    if found is None:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(found)[:20])
    mirrored = a * d < b * c
    degrees = -math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a))
    quarters: tuple[Literal[0], Literal[90], Literal[180], Literal[270]] = (0, 90, 180, 270)
    return quarters[round(degrees / 90) % 4], mirrored


def read_facts(file: BinaryIO, every_frame: bool, progress: Progress = unheard) -> VideoFacts:
    """Facts of a video file.

    Raises:
        UnreadableError: not a video, or no frame of it can be decoded.
    """
    with Reader(file, progress) as reader:
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
        if reader.count == 1 and _is_picture(reader.stream) and reader.container.streams.audio:
            raise UnreadableError(ONLY_PICTURE)  # a cover that is not marked as one
        rotation, _ = turned(first)
        width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        return VideoFacts(
            codec=reader.stream.codec_context.name,
            width=width,
            height=height,
            rotation=rotation,
            fps=reader.fps,
            duration_s=reader.end_s(),
            container_s=reader.container_s(),
            expected=reader.expected(),
            decoded=decoded,
            damaged=reader.damaged,
            cut=reader.cut(),
        )


Shown = tuple[int, int, Any]
"""The index of the first moment at which a frame is shown, at how many it is, and its RGB, `[h, w, 3]`."""


def sampled(file: BinaryIO, times: list[float], progress: Progress = unheard) -> Iterator[Shown]:
    """The frames shown at `times` (ascending).

    Where the video is regular (`aotd.video.gop`), only what they are made from is decoded; what is left out is not
    seen, sound or not. As soon as anything is odd, the video is decoded from its beginning, and that decides.

    Raises:
        UnreadableError: no frame is shown at one of the moments.
    """
    number = 0
    with Reader(file, progress) as reader:
        read = reader.reading()
        if read is None:
            yield from _from_all(reader, times, number)
            return
        try:
            for first, copies, pixels in _from_groups(reader, read, times):
                yield first, copies, pixels
                number = first + copies
            return
        except (OddError, av.FFmpegError):
            pass
    file.seek(0)
    with Reader(file, progress) as reader:
        yield from _from_all(reader, times, number)


def _from_groups(reader: Reader, read: Reading, times: list[float]) -> Iterator[Shown]:
    codec = reader.stream.codec_context
    codec.options = {**codec.options, "err_detect": "explode"}  # what the decoder could cover up is an error
    number = 0
    for group in groups(reader.held(read)):
        if group.until_s == float("inf") and times[-1] > reader.end_s() + HELD_S:
            raise OddError("ends before the last moment")
        wanted = _wanted(group, times[number : bisect_left(times, group.until_s)])
        if not any(reader.size) and not wanted:
            # Decoded in any case: all are shown in its size, and it may say which encoder made them, with which faults.
            list(reader.decode(group.packets[:1], ()))
        if wanted:
            for frame in reader.decode(needed(group, wanted), wanted):
                yield number, wanted[frame.pts], upright(frame, reader.size)
                number += wanted[frame.pts]
        if number == len(times):
            return
    raise OddError("there is nothing in it")


def _wanted(group: Group, moments: list[float]) -> dict[int, int]:
    """`pts` of each frame that is shown at some of the moments -> at how many."""
    starts = [one.time_s for one in group.shown]
    found: dict[int, int] = {}
    for moment_s in moments:
        pts = group.shown[max(bisect_right(starts, moment_s) - 1, 0)].pts
        found[pts] = found.get(pts, 0) + 1
    return found


def _from_all(reader: Reader, times: list[float], seen: int) -> Iterator[Shown]:
    """As `sampled`, of a video that is decoded whole; the first `seen` moments are left out."""
    held: tuple[float, Any] | None = None
    number = 0

    def moments_until(next_s: float) -> int:
        count = 0
        while number + count < len(times) and times[number + count] < next_s:
            count += 1
        return count

    def shown(frame: Any, copies: int) -> Iterator[Shown]:
        first, end = max(number, seen), number + copies
        if first < end:
            yield first, end - first, upright(frame, reader.size)

    for time_s, frame in reader.frames():
        if held is not None and (copies := moments_until(time_s)):
            _check_held(reader, held[0], times[number + copies - 1], time_s)
            yield from shown(held[1], copies)
            number += copies
            if number == len(times):
                return
        held = (time_s, frame)
    if held is None:
        raise UnreadableError("no frame of it can be decoded" if reader.count else "holds no frames")
    end_s = max(reader.end_s(), held[0]) if reader.packets else held[0]
    if times[-1] > end_s + HELD_S:
        raise UnreadableError(f"ends at {end_s:.2f} s; the frame at {times[-1]:.2f} s is missing")
    _check_held(reader, held[0], times[-1], end_s)
    yield from shown(held[1], len(times) - number)


def _check_held(reader: Reader, held_s: float, moment_s: float, next_s: float) -> None:
    """A frame may be shown for long where no other is due, but not in place of frames that are damaged."""
    due = [time_s for time_s in reader.packets if held_s + 1e-3 < time_s < min(moment_s, next_s) - 1e-3]
    if due and moment_s - held_s > HELD_S:
        raise UnreadableError(f"{len(due)} frames between {held_s:.2f} s and {moment_s:.2f} s cannot be decoded")


def upright(frame: Any, size: tuple[int, int]) -> Any:
    """A frame as RGB in the size of the first one, upright: `[height, width, 3]`, uint8, contiguous."""
    width, height = size
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)
    degrees, mirrored = turned(frame)
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, degrees // 90))
