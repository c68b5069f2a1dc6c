"""Frames in: video files decoded in a separate process that is killed when it hangs or talks nonsense.

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
from aotd.video.facts import VideoFacts
from aotd.video.launch import end, from_outside, start
from aotd.video.messages import (
    EndReply,
    FactsReply,
    FramesReply,
    NonsenseError,
    ProgressReply,
    Refusal,
    understand,
)

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER_BYTES = 1 << 20
_SAMPLE_BYTES = 4 << 30
"""The most that the sampled frames of one video may take."""

PASSES = 4
"""A packet is read and decoded, and once more where a video turns out odd. It takes a byte of the file at least."""
_SPARE = 1000
"""Empty packets, which end streams."""
_PIECES = 20
"""Of a deadline."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Examined:
    """What is known of a file of which every frame was to be decoded."""

    facts: VideoFacts | None
    """None where it is no video."""
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
        """Args:
        deadline_s: how long a file may go without progress: no packet read or decoded, no frame answered.
        """
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

    def facts(self, path: Path, every_frame: bool = False) -> VideoFacts:
        """What a file is.

        Args:
            path: absolute, without links (`aotd.datasets.base.locate`).

        Raises:
            DamagedError: not a video, or decoding hung or crashed.
            UserError: the process does not start.
        """
        return self._twice(lambda: self._facts(path, every_frame))

    def _facts(self, path: Path, every_frame: bool) -> VideoFacts:
        with self._request(path, {"do": "probe" if every_frame else "facts"}) as reply:
            found: VideoFacts = reply.next(FactsReply).facts
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
            reply = _Reply(self._process, self._deadline_s, PASSES * os.fstat(file).st_size + _SPARE)
            text = json.dumps({**request, "deadline_s": self._deadline_s}).encode()
            self._wire.settimeout(self._deadline_s)
            try:
                socket.send_fds(self._wire, [struct.pack(">I", len(text))], [file])
                self._wire.sendall(text)
            except TimeoutError:
                raise _stuck(self._deadline_s) from None
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


def _stuck(deadline_s: float) -> DamagedError:
    return DamagedError(f"decoding made no progress for {deadline_s:g} s")


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
    """Reads one answer from the process, as long as it makes progress."""

    def __init__(self, process: subprocess.Popen[bytes], deadline_s: float, most: int) -> None:
        """Args:
        deadline_s: how long one part of the answer may take.
        most: packets that can be read and decoded.
        """
        assert process.stdout is not None
        self._process = process
        self._pipe = process.stdout.fileno()
        self._deadline_s = deadline_s
        self._left_s = deadline_s
        self._progress = 0
        self._most = most

    def next(self, kind: type[K]) -> K:
        """The next part of the answer."""
        while True:
            self._left_s = self._deadline_s
            head = bytearray(4)
            self._read(memoryview(head))
            (length,) = struct.unpack(">I", head)
            if length > _HEADER_BYTES:
                raise DamagedError("the decoder answered nonsense")
            text = bytearray(length)
            self._read(memoryview(text))
            try:
                found = understand(text, kind)
            except NonsenseError:
                raise DamagedError("the decoder answered nonsense") from None
            if isinstance(found, Refusal):
                raise _RefusedError("".join(c if c.isprintable() else "?" for c in found.error[:300]))
            if not isinstance(found, ProgressReply):
                return found
            if not self._progress < found.progress <= self._most:
                raise DamagedError("the decoder reads more packets than the file can hold")
            self._progress = found.progress

    def into(self, target: memoryview) -> None:
        """Fill `target` with the bytes that follow a part of the answer."""
        self._left_s = self._deadline_s
        self._read(target)

    def _read(self, target: memoryview) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while target:
                self._wait(selector)
                count = os.readv(self._pipe, [target[: 1 << 20]])
                if not count:
                    raise self._crashed()
                target = target[count:]

    def _wait(self, selector: selectors.BaseSelector) -> None:
        """Wait for bytes. Time counts in short pieces: for how long a scheduler or Ctrl-Z had stopped this process does
        not count."""
        piece_s = self._deadline_s / _PIECES
        while self._left_s > 0:
            started_s = time.monotonic()
            ready = selector.select(piece_s)
            self._left_s -= min(time.monotonic() - started_s, piece_s)
            if ready:
                return
        raise _stuck(self._deadline_s)

    def _crashed(self) -> DamagedError:
        """How it ended; one that only fell silent is ended by whoever asked."""
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return DamagedError("the decoder crashed on it (it closed its output)")
        kind = _KilledError if from_outside(status) else DamagedError
        return kind(f"the decoder crashed on it (status {status})")


def cut_off(facts: VideoFacts) -> str:
    """What is said of a file that ends before its time."""
    if facts.container_s is None or facts.container_s <= facts.duration_s:
        return f"cut off: ends at {facts.duration_s:.2f} s, in the middle of its data"
    return f"cut off: ends at {facts.duration_s:.2f} s of {facts.container_s:.2f} s"


def probe(path: Path, decoder: Decoder) -> Examined:
    """Decode a whole file and say what it is, and its defect.

    Raises:
        UserError: nothing can be decoded here.
    """
    try:
        facts = decoder.facts(path, every_frame=True)
    except DamagedError as error:
        return Examined(None, str(error))
    defects = [cut_off(facts)] if facts.cut else []
    if facts.decoded < facts.expected:
        defects.append(f"{facts.expected - facts.decoded} of {facts.expected} frames cannot be decoded")
    if facts.damaged:
        defects.append(f"damaged in {facts.damaged} places")
    return Examined(facts, "; ".join(defects) or None)


def frame_rate(path: Path, decoder: Decoder) -> float | None:
    """Frames a second, as the container says; None where it does not, or is no video.

    Raises:
        UserError: nothing can be decoded here.
    """
    try:
        return decoder.facts(path).fps
    except DamagedError:
        return None
