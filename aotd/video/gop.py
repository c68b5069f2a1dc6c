"""Groups of pictures: which packets of a video must be decoded so that some of its frames are seen.

Most pictures are made from others. A group begins with one that stands alone and behind which nothing looks back
past it; so groups of which no frame is wanted need no decoding, and of the others not what no other picture is made
from. What a packet is to the others is read from its own bytes (H.264: ITU-T H.264 7.3.1 and 7.4.1; H.265: 7.3.1 and
7.4.2; MPEG-4: ISO/IEC 14496-2 6.2.5; VP8: RFC 6386 9.1; VP9: bitstream specification 6.2), never from the container's
marks, which may be left out or wrong. What does not fit what is said here is odd, and then a video is decoded whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Containers that say when each packet is shown, and hold one picture in each."""
MOST_HELD = 1 << 28
"""Bytes of packets that wait for the end of their group."""


class OddError(Exception):
    """The video is none of which parts can be left out safely."""


class Role(NamedTuple):
    """What a packet is to the others."""

    starts: bool
    """Decoding may begin with it: what is shown after it is made from nothing that comes before it."""
    free: bool
    """No other picture is made from it."""
    settings: bytes = b""
    """What it says about how others are to be decoded."""


class Held(NamedTuple):
    """A packet that waits for the end of its group."""

    packet: Any
    pts: int
    time_s: float
    role: Role


@dataclass(frozen=True)
class Group:
    """What is shown from one packet that starts to the next one."""

    packets: list[Held]
    """In the order of decoding; the next start is among them, since what is shown before it may be made from it."""
    shown: list[Held]
    """In the order in which they are shown."""
    until_s: float
    """When the next group begins to be shown; infinite for the last."""


Reading = Callable[[bytes], Role]
"""Says what a packet is. Raises OddError."""


def groups(packets: Iterable[Held]) -> Iterator[Group]:
    """The groups of a video, each as soon as it is known to be whole.

    Args:
        packets: all of them, in the order of decoding.

    Raises:
        OddError: the first one starts no group, settings change, or times do not fit the order of decoding.
    """
    body: list[Held] = []
    """The group's start, and what is shown after it."""
    ahead: list[Held] = []
    """The next start, and what comes behind it but is shown before it: the end of this group."""
    size, settings = 0, None
    for one in packets:
        size += one.packet.size
        if settings is None:
            settings = one.role.settings
        if one.role.settings != (settings if one.role.starts else b""):
            raise OddError("how pictures are to be decoded changes")
        if one.role.starts:
            if ahead:
                yield _group(body, ahead)
                body, ahead, size = ahead[:1], [one], ahead[0].packet.size + one.packet.size
            elif body:
                ahead = [one]
            else:
                body = [one]
        elif not body:
            raise OddError("it begins with a picture that is made from others")
        elif ahead and one.time_s < ahead[0].time_s:
            ahead.append(one)
        else:
            if ahead:
                yield _group(body, ahead)
                size = ahead[0].packet.size + one.packet.size
                body, ahead = ahead[:1], []
            if one.time_s <= body[0].time_s:
                raise OddError("a picture is shown before the one with which decoding begins")
            body.append(one)
        if size > MOST_HELD:
            raise OddError("a group is larger than what is held of it")
    if ahead:
        yield _group(body, ahead)
        body = ahead[:1]
    if body:
        yield _group(body, [])


def _group(body: list[Held], ahead: list[Held]) -> Group:
    shown = [*sorted(body, key=_time), *sorted(ahead[1:], key=_time)]
    times = [one.time_s for one in (*shown, *ahead[:1])]
    if any(after <= before for before, after in pairwise(times)):
        raise OddError("groups are not shown one after the other")
    return Group([*body, *ahead], shown, ahead[0].time_s if ahead else float("inf"))


def _time(one: Held) -> float:
    return one.time_s


def needed(group: Group, wanted: Collection[int]) -> list[Held]:
    """What must be decoded of a group, in that order, so that the pictures with some `pts` are seen."""
    last = max(at for at, one in enumerate(group.packets) if one.pts in wanted)
    return [one for one in group.packets[: last + 1] if not one.role.free or one.pts in wanted]


def reading(codec: str, extradata: bytes) -> Reading | None:
    """How to read the packets of a codec; None where they cannot be.

    Args:
        codec: FFmpeg's name of the decoder.
        extradata: what the container keeps for it.
    """
    made = _CODECS.get(codec)
    return made(extradata) if made else None


def _units(data: bytes, width: int) -> Iterator[tuple[int, int]]:
    """Where each NAL unit of a packet begins and ends; the length stands before each, in `width` bytes."""
    at, end = 0, len(data)
    while at < end:
        start = at + width
        at = start + int.from_bytes(data[at:start], "big")
        if at > end or at < start + 2:
            raise OddError("a unit does not fit into its packet")
        yield start, at


def _h264(extradata: bytes) -> Reading | None:
    if len(extradata) < 7 or extradata[0] != 1:
        return None
    width = (extradata[4] & 3) + 1

    def read(data: bytes) -> Role:
        slices: list[int] = []
        settings = b""
        for start, end in _units(data, width):
            kind = data[start] & 0x9F  # the first bit is never set
            if kind in (1, 5):
                slices.append(data[start])
            elif kind in (7, 8, 13):  # sets of parameters
                settings += data[start:end]
            elif kind not in (6, 9, 12):  # remarks, delimiters and filling tell nothing
                raise OddError(f"a unit of kind {kind}")
        if not slices:
            raise OddError("a packet without a picture")
        # A picture of two fields may begin with an IDR field and go on with one that is made from it.
        return Role(slices[0] & 0x9F == 5, not any(head & 0x60 for head in slices), settings)

    return read


def _hevc(extradata: bytes) -> Reading | None:
    if len(extradata) < 23 or extradata[0] != 1:
        return None
    width = (extradata[21] & 3) + 1
    one_layer = extradata[21] >> 3 & 7 == 1
    """Pictures that no other of their own layer is made from may still be there for a layer above."""

    def read(data: bytes) -> Role:
        kinds: set[int] = set()
        settings = b""
        for start, end in _units(data, width):
            kind = data[start] >> 1 & 63
            if data[start] & 0x81 or data[start + 1] >> 3 or not data[start + 1] & 7:
                raise OddError("a unit of another layer, or none")
            if kind < 10 or 16 <= kind < 22:
                kinds.add(kind)
            elif kind in (32, 33, 34):
                settings += data[start:end]
            elif kind not in (35, 38, 39, 40):
                raise OddError(f"a unit of kind {kind}")
        if len(kinds) != 1:
            raise OddError("a packet that is not one picture")
        (kind,) = kinds
        return Role(kind >= 16, one_layer and kind in (0, 6, 8), settings)

    return read


def _mpeg4(extradata: bytes) -> Reading | None:
    def read(data: bytes) -> Role:
        at = data.find(b"\0\0\1\xb6")
        if at < 0 or at + 4 >= len(data) or data.find(b"\0\0\1\xb6", at + 4) >= 0:
            raise OddError("a packet that is not one picture")
        kind = data[at + 4] >> 6  # 0: alone, 1: from the one before, 2: from both sides, 3: moved as a whole
        clock = data.find(b"\0\0\1\xb3", 0, at)  # and three bytes that count seconds, and so differ every time
        return Role(kind == 0, kind == 2, data[:at] if clock < 0 else data[:clock] + data[clock + 7 : at])

    return read


def _vp8(extradata: bytes) -> Reading | None:
    def read(data: bytes) -> Role:
        if not data[0] & 16:
            raise OddError("a picture that is not shown")
        return Role(not data[0] & 1, False)

    return read


def _vp9(extradata: bytes) -> Reading | None:
    def read(data: bytes) -> Role:
        if data[0] >> 6 != 2 or data[0] & 0x30 == 0x30:
            raise OddError("a frame of an unknown profile")
        repeats, key, shown = data[0] & 8, not data[0] & 4, data[0] & 2
        return Role(bool(not repeats and key and shown), False)

    return read


_CODECS: dict[str, Callable[[bytes], Reading | None]] = {
    "h264": _h264,
    "hevc": _hevc,
    "mpeg4": _mpeg4,
    "vp8": _vp8,
    "vp9": _vp9,
}
