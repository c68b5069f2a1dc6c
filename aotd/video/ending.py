"""How a file ends: with the last part of its container, or in the middle of one.

A duration in a header does not tell whether a file is whole: it may be rounded, missing, of the sound, or up to the
end of a last frame that stands still. Containers also say how many bytes their parts take. A file that was not copied
or written to its end lacks some of them. Only the heads of a few parts are read here.

Source: ISO/IEC 14496-12 4.2 and 8.16.3 (boxes, sidx); RFC 8794 and RFC 9559 (EBML, Matroska); Microsoft's AVI RIFF and
ASF references; ISO/IEC 13818-1 2.4.3.2 (packets of a transport stream); RFC 3533 6 (pages of Ogg); Adobe's FLV
specification 10.1, annex E.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum, auto
from typing import BinaryIO


class Ending(Enum):
    """What the bytes of a container say of the end of its file."""

    whole = auto()
    """All that belongs to it is there."""
    torn = auto()
    """It ends, or holds nothing any more, inside of what holds frames and sound."""
    untold = auto()
    """They do not tell."""


def ending(file: BinaryIO, container: str) -> Ending:
    """How a file ends; its position stays as it is.

    Args:
        container: FFmpeg's name of the container's format.
    """
    told = _CONTAINERS.get(container)
    if told is None:
        return Ending.untold
    at = file.tell()
    try:
        return told(file, file.seek(0, os.SEEK_END))
    finally:
        file.seek(at)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    """Up to `count` bytes, fewer at the file's end; none where it cannot be so long."""
    if not 0 <= at < 1 << 62:
        return b""
    file.seek(at)
    found = b""
    while len(found) < count and (piece := file.read(count - len(found))):
        found += piece
    return found


def _mp4(file: BinaryIO, size: int) -> Ending:
    kinds: list[bytes] = []
    at = promised = 0
    timed = False
    while at + 8 <= size:
        head = _read(file, at, 32)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0 and kind != bytes(4):
            return Ending.untold  # it goes on up to the end, wherever that is
        if length < 8:
            if b"moof" in kinds and not any(head):
                return Ending.torn  # room that was made for a file, and never filled
            break  # no box: what was padded or put behind
        if at + length > size:
            if kind in (b"mdat", b"moof"):
                return Ending.torn
            break
        kinds.append(kind)
        if kind == b"sidx":
            promised = max(promised, _indexed(_read(file, at, min(length, 1 << 20))) + at + length)
        elif kind == b"moov" and head[12:16] == b"mvhd":
            header = _read(file, at + 16, 32)
            duration = header[24:32] if header[:1] == b"\1" else header[16:20]
            timed = duration.strip(b"\0") != b"" and duration.strip(b"\xff") != b""
        at += length
    if promised > size or kinds[-1:] == [b"moof"]:
        return Ending.torn
    if b"moof" in kinds:
        # Fragments can be missing behind a whole one. Where no duration is promised, nothing says so.
        return Ending.whole if b"mfra" in kinds or not timed else Ending.untold
    return Ending.whole if {b"moov", b"mdat"} <= set(kinds) else Ending.untold


def _indexed(box: bytes) -> int:
    """How many bytes behind an index of segments (a whole `sidx` box) its segments take."""
    at = 40 if box[8] == 1 else 32
    first = int.from_bytes(box[28:36] if box[8] == 1 else box[24:28], "big")
    count = int.from_bytes(box[at - 2 : at], "big")
    return first + sum(
        int.from_bytes(box[at + 12 * number : at + 12 * number + 4], "big") & 0x7FFFFFFF for number in range(count)
    )


_CLUSTER = b"\x1f\x43\xb6\x75"
_SEGMENT = b"\x18\x53\x80\x67"
_IN_CLUSTER = {b"\xe7", b"\xa7", b"\xab", b"\xa3", b"\xa0", b"\xaf", b"\x58\x54", b"\xec", b"\xbf"}
"""Timestamp, position, previous size, blocks, silent tracks, void, checksum."""
_BESIDE = {
    b"\x11\x4d\x9b\x74",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
    b"\x1c\x53\xbb\x6b",
    b"\x19\x41\xa4\x69",
    b"\x10\x43\xa7\x70",
    b"\x12\x54\xc3\x67",
}
"""Seek head, info, tracks, cues, attachments, chapters, tags."""
_BACK = 1 << 20
"""So many bytes are searched at once for the last cluster."""


def _element(file: BinaryIO, at: int) -> tuple[bytes, int | None, int]:
    """An element's name, its length or None where that is unknown, and where its content begins."""
    head = _read(file, at, 12)
    width = 9 - head[0].bit_length() if head else 0
    if not 1 <= width <= 4 or len(head) <= width:
        return b"", 0, at
    long = 9 - head[width].bit_length()
    if long > 8 or len(head) < width + long:
        return b"", 0, at
    value = int.from_bytes(head[width : width + long], "big") & ((1 << 7 * long) - 1)
    return head[:width], None if value == (1 << 7 * long) - 1 else value, at + width + long


def _matroska(file: BinaryIO, size: int) -> Ending:
    at = 0
    while True:
        name, length, body = _element(file, at)
        if name == _SEGMENT:
            break
        if not name or length is None:
            return Ending.untold
        at = body + length
    due = size if length is None else body + length
    """Where the segment ends."""
    at = _last_cluster(file, body, size)
    due_cluster = at
    while 0 <= at < size:
        name, length, body = _element(file, at)
        if name == _CLUSTER:
            due_cluster, at = body + (length or 0), body
        elif name in _BESIDE or at >= due:
            # All clusters are there. That is enough, even where the file ends inside of what comes behind them.
            return Ending.whole if at >= due_cluster else Ending.torn
        elif name not in _IN_CLUSTER or length is None or body + length > size:
            return Ending.torn
        else:
            at = body + length
    if at < 0:
        return Ending.untold
    return Ending.torn if due_cluster > size else Ending.untold if due > size else Ending.whole


def _last_cluster(file: BinaryIO, first: int, size: int) -> int:
    """Where the last cluster begins; -1 where there is none."""
    end = size
    while end > first:
        start = max(end - _BACK, first)
        piece = _read(file, start, end - start + 16)
        found = piece.rfind(_CLUSTER)
        while found >= 0:
            if start + found < end and _element(file, _element(file, start + found)[2])[0] in _IN_CLUSTER:
                return start + found
            found = piece.rfind(_CLUSTER, 0, found)
        end = start
    return -1


def _avi(file: BinaryIO, size: int) -> Ending:
    at, seen = 0, False
    while at + 12 <= size:
        head = _read(file, at, 12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RIFF":
            at += 12  # into it
        elif head[:4] == b"LIST" and head[8:12] == b"movi":
            if length in (0, 0xFFFFFFFF):
                return Ending.untold  # whoever wrote it did not come to say
            if at + 8 + length > size:
                return Ending.torn
            seen = True
            at += 8 + length + length % 2
        elif not head[:4].strip().isalnum():
            if not any(head):
                return Ending.torn  # room that was never filled
            break
        else:
            at += 8 + length + length % 2
    return Ending.whole if seen else Ending.untold


_PADDING = 0.02
"""The share of a file that may be empty at its end."""


def _mpegts(file: BinaryIO, size: int) -> Ending:
    head = _read(file, 0, 5 * 204)
    for length, first in ((188, 0), (192, 4), (204, 0)):
        if all(head[at : at + 1] == b"\x47" for at in range(first, 5 * length, length) if at < size):
            at, whole = size - length, not size % length
            if not any(_read(file, at, length)):  # what a disk's blocks are filled up with, or room never filled
                at, whole = int(size * (1 - _PADDING)) // length * length, True
            return Ending.whole if whole and _read(file, at + first, 1) == b"\x47" else Ending.torn
    return Ending.untold


def _flv(file: BinaryIO, size: int) -> Ending:
    length = int.from_bytes(_read(file, max(size - 4, 0), 4), "big")
    if not length:
        return Ending.untold
    head = _read(file, size - 4 - length, 4) if 11 <= length <= size - 13 else b""
    fits = head[:1] in (b"\x08", b"\x09", b"\x12") and int.from_bytes(head[1:], "big") == length - 11
    return Ending.whole if fits else Ending.torn


def _ogg(file: BinaryIO, size: int) -> Ending:
    most = 27 + 255 + 255 * 255
    """Bytes of a page."""
    start = max(size - 2 * most, 0)
    tail = _read(file, start, 2 * most)
    at = tail.rfind(b"OggS")
    head = tail[at:] if at >= 0 else b""
    if len(head) < 27 or len(head) < 27 + head[26]:
        return Ending.torn
    return Ending.whole if 27 + head[26] + sum(head[27 : 27 + head[26]]) <= len(head) else Ending.torn


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def _asf(file: BinaryIO, size: int) -> Ending:
    head = _read(file, 0, 24)
    at = int.from_bytes(head[16:], "little")
    data = _read(file, at, 24)
    length = int.from_bytes(data[16:], "little")
    if head[:16] != _ASF_HEADER or data[:16] != _ASF_DATA or not length:
        return Ending.untold
    return Ending.torn if at + length > size else Ending.untold


_PACK = b"\0\0\1\xba"
_MPEG_TAIL = 1 << 18
"""More bytes than a pack of a program stream has."""


def _mpeg(file: BinaryIO, size: int) -> Ending:
    tail = _read(file, max(size - _MPEG_TAIL, 0), _MPEG_TAIL)
    at = tail.rfind(_PACK)
    if at < 0:
        return Ending.untold
    while at + 6 <= len(tail) and tail[at : at + 3] == b"\0\0\1":
        kind = tail[at + 3]
        if kind == 0xB9:
            return Ending.whole
        if kind == 0xBA:
            old = tail[at + 4] >> 6 != 1
            at += 12 if old else 14 + (tail[at + 13] & 7 if at + 13 < len(tail) else 0)
        else:
            at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    return Ending.whole if at == len(tail) else Ending.torn if at + 6 > len(tail) else Ending.untold


_CONTAINERS: dict[str, Callable[[BinaryIO, int], Ending]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": _mp4,
    "matroska,webm": _matroska,
    "avi": _avi,
    "mpegts": _mpegts,
    "mpeg": _mpeg,
    "flv": _flv,
    "ogg": _ogg,
    "asf": _asf,
}
