"""Frames in: video files decoded in a separate process that is killed when it is late or damaged.

    $ aotd load dataset=clips dataset.root=DIR         names what each file is, or its defect

A file from the internet is hostile until shown otherwise: decoders hang, crash, return fewer frames
than promised, and follow playlists to other files. So `aotd.video.worker` decodes and knows only
containers that hold their own frames. This module opens the file and hands over the descriptor: the process
is never told a path, opens nothing by itself, and nothing it says is believed that does not add up.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import selectors
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aotd.video.clip import Pixels
from aotd.video.launch import end, from_outside, start
from aotd.video.messages import EndReply, FactsReply, FramesReply, NonsenseError, Refusal, StreamFacts, understand

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER_BYTES = 1 << 20
_SAMPLE_BYTES = 4 << 30
"""The most that the sampled frames of one video may take."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class VideoFacts:
    """What a video file is. A file that is no video has a defect and zeros."""

    frames: int
    """Frames that were really decoded."""
    promised: int | None
    """Frames that the container promises; None where it does not say."""
    fps: float | None
    """Average frame rate in the container."""
    duration_s: float
    """Where the last frame ends, in seconds from the container's start."""
    width: int
    """Of the upright frame, in pixels."""
    height: int
    rotation: int
    """Degrees by which stored frames are turned counterclockwise to stand upright: 0, 90, 180 or 270."""
    codec: str
    defect: str | None
    """One line: what is wrong with it; None for a sound file."""


class DamagedError(Exception):
    """The file cannot be decoded; the message says why."""


K = TypeVar("K", FactsReply, FramesReply, EndReply)


class _KilledError(DamagedError):
    """Somebody has killed the decoding process: the file may be sound."""


class Decoder:
    """The parent's end of one decoding process; started at the first request if not before, again after it had to be
    killed.

    A request whose process is killed by somebody else (for want of memory, or with the whole job) is sent once more.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None

    def begin(self) -> None:
        """Start the process, unless there is one.

        Raises:
            UserError: it does not start.
        """
        if self._process is None:
            self._process, self._wire = start(self._deadline_s)

    def facts(self, path: Path, every_frame: bool = False) -> StreamFacts:
        """What a file is.

        Args:
            path: absolute, without links (`aotd.datasets.base.locate`).

        Raises:
            DamagedError: not a video, or decoding hung or crashed.
            UserError: the process does not start.
        """
        return self._twice(lambda: self._facts(path, every_frame))

    def _facts(self, path: Path, every_frame: bool) -> StreamFacts:
        with self._request(path, {"do": "probe" if every_frame else "facts"}) as reply:
            found: StreamFacts = reply.next(FactsReply).facts
            return found

    def frames(self, path: Path, times: list[float], width: int, height: int) -> Pixels:
        """The frames shown at `times` (seconds, ascending), RGB, `[len(times), height, width, 3]`.

        Raises:
            DamagedError: a frame is missing, or decoding hung or crashed.
            UserError: the process does not start.
        """
        return self._twice(lambda: self._frames(path, times, width, height))

    def _frames(self, path: Path, times: list[float], width: int, height: int) -> Pixels:
        size = height * width * 3
        if not 0 < size * len(times) <= _SAMPLE_BYTES:
            raise DamagedError(f"{len(times)} frames of {width}x{height} take more than {_SAMPLE_BYTES >> 30} GiB")
        pixels = np.empty((len(times), height, width, 3), np.uint8)
        filled = 0
        with self._request(path, {"do": "frames", "times": times}) as reply:
            while filled < len(times):
                part = reply.next(FramesReply)
                sound = part.first == filled and part.copies <= len(times) - filled
                if not sound or part.shape != (height, width, 3) or part.bytes != size:
                    raise DamagedError("the decoder answered frames of another shape or number")
                reply.into(memoryview(pixels[filled]).cast("B"))
                pixels[filled + 1 : filled + part.copies] = pixels[filled]
                filled += part.copies
            reply.next(EndReply)
        pixels.setflags(write=False)
        return pixels

    def _twice(self, ask: Callable[[], _Answer]) -> _Answer:
        try:
            return ask()
        except _KilledError:
            return ask()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            end(self._process)
            self._process = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def __del__(self) -> None:
        # Whoever drops the last reference to a source of videos means to end its process with it.
        self.close()

    @contextlib.contextmanager
    def _request(self, path: Path, request: dict[str, Any]) -> Any:
        file = _open(path)
        try:
            if self._process is not None and (self._process.poll() is not None or _talks(self._process)):
                self.close()
            self.begin()
            assert self._process is not None
            assert self._wire is not None
            reply = _Reply(self._process, self._deadline_s)
            text = json.dumps({**request, "deadline_s": self._deadline_s}).encode()
            self._wire.settimeout(self._deadline_s)
            try:
                socket.send_fds(self._wire, [struct.pack(">I", len(text))], [file])
                self._wire.sendall(text)
            except TimeoutError:
                raise DamagedError(f"not decoded within {self._deadline_s:g} s") from None
            except (BrokenPipeError, ConnectionResetError):
                pass  # it died; the reply says how
            yield reply
        except _RefusedError as error:
            raise DamagedError(str(error)) from None  # the process said so itself, and is fit for the next file
        except BaseException:
            self.close()  # late, dead, or in the middle of an answer nobody will read
            raise
        finally:
            os.close(file)


def _open(path: Path) -> int:
    """The descriptor of a video file, open for reading.

    A path that was found to be beneath the data root holds no links: what is one by now was put there since,
    and is not followed, at any part of the path.

    Raises:
        DamagedError: there is no file, or it is none; a pipe is not waited for.
    """
    assert path.is_absolute(), path
    try:
        folder = os.open(path.anchor, _FOLDER)
        try:
            for part in path.parts[1:-1]:
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            file = os.open(path.name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedError("no such file") from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # no fault of the file's
        told = {errno.ELOOP: "a link has been put in its place", errno.ENXIO: _NO_FILE}
        raise DamagedError(told.get(error.errno or 0, f"cannot be opened ({error.strerror})")) from None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise DamagedError(_NO_FILE)


def content_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        DamagedError: it cannot be read.
    """
    found = hashlib.sha256()
    with os.fdopen(_open(path), "rb", buffering=0) as file:
        try:
            while piece := file.read(1 << 20):
                found.update(piece)
        except OSError as error:
            raise DamagedError(f"cannot be read ({error.strerror})") from None
    return found.hexdigest()


_NO_FILE = "is a folder, a pipe or a device"


def _talks(process: subprocess.Popen[bytes]) -> bool:
    """Whether it says something that nobody has asked for, which would be taken for the next answer."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return bool(selector.select(0))


class _RefusedError(Exception):
    """The worker's own `error`."""


class _Reply:
    """Reads one answer from the process, up to the deadline."""

    def __init__(self, process: subprocess.Popen[bytes], deadline_s: float) -> None:
        assert process.stdout is not None
        self._process = process
        self._pipe = process.stdout.fileno()
        self._limit_s = deadline_s
        self._until = time.monotonic() + deadline_s

    def next(self, kind: type[K]) -> K:
        """The next part of the answer."""
        head = bytearray(4)
        self.into(memoryview(head))
        (length,) = struct.unpack(">I", head)
        if length > _HEADER_BYTES:
            raise DamagedError("the decoder answered nonsense")
        text = bytearray(length)
        self.into(memoryview(text))
        try:
            found = understand(text, kind)
        except NonsenseError:
            raise DamagedError("the decoder answered nonsense") from None
        if isinstance(found, Refusal):
            raise _RefusedError("".join(c if c.isprintable() else "?" for c in found.error[:300]))
        return found

    def into(self, target: memoryview) -> None:
        """Fill `target` with the next bytes."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while target:
                left = self._until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise DamagedError(f"not decoded within {self._limit_s:g} s")
                count = os.readv(self._pipe, [target[: 1 << 20]])
                if not count:
                    raise self._crashed()
                target = target[count:]

    def _crashed(self) -> DamagedError:
        """How it ended; one that only fell silent is ended by whoever asked."""
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return DamagedError("the decoder crashed on it (it closed its output)")
        kind = _KilledError if from_outside(status) else DamagedError
        return kind(f"the decoder crashed on it (status {status})")


def cut_off(facts: StreamFacts) -> str:
    """What is said of a file that ends before its time."""
    return f"cut off: ends at {facts.duration_s:.2f} s of {facts.promised_s or 0.0:.2f} s"


def unusable(defect: str) -> VideoFacts:
    """Facts of a file that is no video."""
    return VideoFacts(0, None, None, 0.0, 0, 0, 0, "", defect)


def probe(path: Path, decoder: Decoder) -> VideoFacts:
    """Decode a whole file and say what it is, or its defect.

    Raises:
        UserError: nothing can be decoded here.
    """
    try:
        facts = decoder.facts(path, every_frame=True)
    except DamagedError as error:
        return unusable(str(error))
    promised, decoded, damaged = facts.promised, facts.decoded, facts.damaged
    defects = [cut_off(facts)] if facts.cut else []
    if promised is not None and decoded < promised:
        defects.append(f"{promised - decoded} of {promised} frames cannot be decoded")
    if damaged:
        defects.append(f"damaged in {damaged} places")
    return VideoFacts(
        frames=decoded,
        promised=promised,
        fps=facts.fps,
        duration_s=facts.duration_s,
        width=facts.width,
        height=facts.height,
        rotation=facts.rotation,
        codec=facts.codec,
        defect="; ".join(defects) or None,
    )


def frame_rate(path: Path, decoder: Decoder) -> float | None:
    """Frames a second, as the container says; None where it does not, or is no video.

    Raises:
        UserError: nothing can be decoded here.
    """
    try:
        return decoder.facts(path).fps
    except DamagedError:
        return None
