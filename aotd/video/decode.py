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
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from aotd.datasets.base import locate
from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question
from aotd.sandbox.layers import Layer, landlock_abi, missing
from aotd.sandbox.seccomp import DECODING, seccomp_filter
from aotd.stop import SIGNALS
from aotd.video.clip import Pixels, frame_times
from aotd.video.heard import EndReply, Found, FoundReply, FramesReply, NonsenseError, Refusal, understand

_WORKER = Path(__file__).with_name("worker.py")
_INHERITED = ("HOME", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")
"""What the decoding process may know of the environment: how to find its libraries, and no secrets."""
_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""One thread: walls that a process raises around itself stand around the thread that raises them."""
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER_BYTES = 1 << 20
_SAMPLE_BYTES = 4 << 30
"""The most that the sampled frames of one video may take."""
_MOST_FRAMES = 100_000
KEPT_BYTES = 1 << 30
"""How much of decoded videos stays in memory for the next question."""

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


class _DamagedError(Exception):
    """The file cannot be decoded; the message says why."""


K = TypeVar("K", FoundReply, FramesReply, EndReply)


class _KilledError(_DamagedError):
    """Somebody has killed the decoding process: the file may be sound."""


class Decoder:
    """The parent's end of one decoding process; started at the first request, again after it had to be killed.

    A request whose process is killed by somebody else (for want of memory, or with the whole job) is sent once more.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None

    def facts(self, path: Path, every_frame: bool = False) -> Found:
        """What a file is.

        Args:
            path: absolute, without links (`aotd.datasets.base.locate`).

        Raises:
            _DamagedError: not a video, or decoding hung or crashed.
        """
        return self._twice(lambda: self._facts(path, every_frame))

    def _facts(self, path: Path, every_frame: bool) -> Found:
        with self._request(path, {"do": "probe" if every_frame else "facts"}) as reply:
            found: Found = reply.next(FoundReply).facts
            return found

    def frames(self, path: Path, times: list[float], width: int, height: int) -> Pixels:
        """The frames shown at `times` (seconds, ascending), RGB, `[len(times), height, width, 3]`.

        Raises:
            _DamagedError: a frame is missing, or decoding hung or crashed.
        """
        return self._twice(lambda: self._frames(path, times, width, height))

    def _frames(self, path: Path, times: list[float], width: int, height: int) -> Pixels:
        size = height * width * 3
        if not 0 < size * len(times) <= _SAMPLE_BYTES:
            raise _DamagedError(f"{len(times)} frames of {width}x{height} take more than {_SAMPLE_BYTES >> 30} GiB")
        pixels = np.empty((len(times), height, width, 3), np.uint8)
        filled = 0
        with self._request(path, {"do": "frames", "times": times}) as reply:
            while filled < len(times):
                part = reply.next(FramesReply)
                sound = part.first == filled and part.copies <= len(times) - filled
                if not sound or part.shape != (height, width, 3) or part.bytes != size:
                    raise _DamagedError("the decoder answered frames of another shape or number")
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
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
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
            if self._process is None:
                self._start()
            assert self._process is not None
            assert self._wire is not None
            reply = _Reply(self._process, self._deadline_s)
            text = json.dumps({**request, "deadline_s": self._deadline_s}).encode()
            self._wire.settimeout(self._deadline_s)
            try:
                socket.send_fds(self._wire, [struct.pack(">I", len(text))], [file])
                self._wire.sendall(text)
            except TimeoutError:
                raise _DamagedError(f"not decoded within {self._deadline_s:g} s") from None
            except (BrokenPipeError, ConnectionResetError):
                pass  # it died; the reply says how
            yield reply
        except _RefusedError as error:
            raise _DamagedError(str(error)) from None  # the process said so itself, and is fit for the next file
        except BaseException:
            self.close()  # late, dead, or in the middle of an answer nobody will read
            raise
        finally:
            os.close(file)

    def _start(self) -> None:
        self._wire, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), json.dumps(_layers())],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _THREADS,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)


def _open(path: Path) -> int:
    """The descriptor of a video file, open for reading.

    A path that was found to be beneath the data root holds no links: what is one by now was put there since,
    and is not followed, at any part of the path.

    Raises:
        _DamagedError: there is no file, or it is none; a pipe is not waited for.
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
        raise _DamagedError("no such file") from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # no fault of the file's
        told = {errno.ELOOP: "a link has been put in its place", errno.ENXIO: _NO_FILE}
        raise _DamagedError(told.get(error.errno or 0, f"cannot be opened ({error.strerror})")) from None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise _DamagedError(_NO_FILE)


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        _DamagedError: it cannot be read.
    """
    found = hashlib.sha256()
    with os.fdopen(_open(path), "rb", buffering=0) as file:
        try:
            while piece := file.read(1 << 20):
                found.update(piece)
        except OSError as error:
            raise _DamagedError(f"cannot be read ({error.strerror})") from None
    return found.hexdigest()


def _layers() -> dict[str, Any]:
    """The sandbox's layers that the process is to raise around itself: those that deny files, and that are here."""
    return {
        "landlock": landlock_abi(),
        "rlimits": False,  # it is handed descriptors, and has a limit on memory of its own
        "seccomp": "" if missing(Layer.seccomp) else seccomp_filter(DECODING).hex(),
    }


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
            raise _DamagedError("the decoder answered nonsense")
        text = bytearray(length)
        self.into(memoryview(text))
        try:
            found = understand(text, kind)
        except NonsenseError:
            raise _DamagedError("the decoder answered nonsense") from None
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
                    raise _DamagedError(f"not decoded within {self._limit_s:g} s")
                count = os.readv(self._pipe, [target[: 1 << 20]])
                if not count:
                    raise self._crashed()
                target = target[count:]

    def _crashed(self) -> _DamagedError:
        """How it ended; one that only fell silent is ended by whoever asked."""
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return _DamagedError("the decoder crashed on it (it closed its output)")
        kind = _KilledError if -status in (signal.SIGKILL, *SIGNALS) else _DamagedError
        return kind(f"the decoder crashed on it (status {status})")


_Key = tuple[str, float, float, int]


@dataclass(frozen=True)
class DecodedVideo:
    """Frames sampled uniformly from the question's part of one video file; decoded when first asked for."""

    video_id: str
    frames: int
    start_s: float
    end_s: float
    width: int
    height: int
    path: Path
    source: DecodedVideos = field(repr=False)

    def pixels(self) -> Pixels:
        """All sampled frames, RGB, upright, `[frames, height, width, 3]`, read-only.

        Raises:
            QuestionError: `video_unreadable`.
        """
        return self.source.pixels(self)

    @property
    def content(self) -> str:
        """SHA-256 of the file's bytes, in hex; the file is read for it when it is first asked for.

        Raises:
            QuestionError: `video_unreadable`.
        """
        return self.source.content(self)


class DecodedVideos:
    """Opens questions' video files below a folder (`aotd.specialists.base.Source`).

    Several threads may use it: each has a decoding process while it needs one, and what two of them ask for at the
    same time is done once. What is known of a file (facts, defect, digest, frames) was true when it was read: a file
    that is changed meanwhile is not noticed, and can have the digest of one state and the frames of another.
    """

    def __init__(self, root: str, frames: int, deadline_s: float, kept_bytes: int = KEPT_BYTES) -> None:
        """Args:
            root: the folder.
            frames: how many are sampled from each video.
            deadline_s: for reading a container, and again for decoding its frames.
            kept_bytes: how much of decoded videos stays in memory; the last one does in any case.

        Raises:
            UserError: there is no such folder, or a number is out of range.
        """
        if not Path(root).is_dir():
            raise UserError(f"{root} is not a folder: set dataset.root to the folder of the videos")
        if not 1 <= frames <= _MOST_FRAMES:
            raise UserError(f"specialists.frames={frames} must be from 1 to {_MOST_FRAMES}")
        if not deadline_s > 0:
            raise UserError(f"specialists.decode_deadline_s={deadline_s:g} must be more than 0")
        self.model = f"pyav {version('av')}"
        self._root = root
        self._frames = frames
        self._deadline_s = deadline_s
        self._idle: list[Decoder] = []
        self._cores = threading.Semaphore(os.cpu_count() or 1)
        """More files at once would not be read sooner."""
        self._facts: dict[str, Found] = {}
        self._defects: dict[str, str] = {}
        self._contents: dict[str, str] = {}
        self._kept: OrderedDict[_Key, Pixels] = OrderedDict()
        self._kept_bytes = kept_bytes
        self._held: WeakValueDictionary[_Key, Pixels] = WeakValueDictionary()
        """What somebody still has in hand, though it may have been let go here."""
        self._largest = 0
        """Bytes of the largest video so far."""
        self._lock = threading.Lock()
        """Held while `_kept` or `_locks` is looked at, never while a file is read."""
        self._locks: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)
        """Held by whoever finds out what is under a key."""

    def open(self, question: Question) -> DecodedVideo:
        """The video of a question; reads the container and the first frame, and decodes the rest when asked for.

        Raises:
            QuestionError: `video_unreadable`: no such file, not a video, cut off, or shorter than the question's part.
        """
        if question.video is None:
            raise QuestionError(Outcome.video_unreadable, "the question names no video file")
        path = locate(self._root, question.video)
        facts = self._read_facts(path)
        duration_s = facts.duration_s
        start_s = question.start_s or 0.0
        end_s = duration_s if question.end_s is None else question.end_s
        if not start_s < end_s or end_s > duration_s + 1.0:
            raise QuestionError(
                Outcome.video_unreadable,
                f"{question.video}: the part {start_s:g}-{end_s:g} s is not in it, it ends at {duration_s:.2f} s",
            )
        return DecodedVideo(
            video_id=question.video_id,
            frames=self._frames,
            start_s=start_s,
            end_s=min(end_s, duration_s),
            width=facts.width,
            height=facts.height,
            path=path,
            source=self,
        )

    def is_whole(self, question: Question) -> bool:
        """Whether the question is about the whole file; half a frame at either end makes no difference.

        Raises:
            QuestionError: as `open`.
        """
        video = self.open(question)
        facts = self._read_facts(video.path)
        slack_s = 0.5 / facts.fps if facts.fps else 0.0
        return video.start_s <= slack_s and video.end_s >= facts.duration_s - slack_s

    def pixels(self, video: DecodedVideo) -> Pixels:
        """The sampled frames of a video this source has opened."""
        key = (str(video.path), video.start_s, video.end_s, video.frames)
        with self._alone("pixels", *key):
            found = self._known(key)
            if found is None:
                self._raise_known(video.path)
                times = frame_times(video.start_s, video.end_s, video.frames)
                with self._defect_of(video.path), self._decoder() as decoder:
                    found = decoder.frames(video.path, times, video.width, video.height)
                self._keep(key, found)
            return found

    def content(self, video: DecodedVideo) -> str:
        """SHA-256 of a video's file, in hex; a file is read once for it."""
        key = str(video.path)
        with self._alone("content", key):
            if key not in self._contents:
                self._raise_known(video.path)
                with self._defect_of(video.path):
                    self._contents[key] = _digest(video.path)
            return self._contents[key]

    def room(self) -> int:
        """How many videos as large as the largest so far can be kept."""
        return self._kept_bytes // self._largest if self._largest else sys.maxsize

    def close(self) -> None:
        """End the decoding processes."""
        while self._idle:
            self._idle.pop().close()

    @contextlib.contextmanager
    def _alone(self, *key: Hashable) -> Iterator[None]:
        """Others who want the same wait, and find what is there by then."""
        with self._lock:
            lock = self._locks[key]
        with lock:
            yield

    @contextlib.contextmanager
    def _decoder(self) -> Iterator[Decoder]:
        with self._cores:
            try:
                decoder = self._idle.pop()
            except IndexError:  # all are at work
                decoder = Decoder(self._deadline_s)
            try:
                yield decoder
            finally:
                self._idle.append(decoder)

    def _known(self, key: _Key) -> Pixels | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._held.get(key)

    def _keep(self, key: _Key, pixels: Pixels) -> None:
        with self._lock:
            self._kept[key] = self._held[key] = pixels
            self._largest = max(self._largest, pixels.nbytes)
            taken = sum(kept.nbytes for kept in self._kept.values())
            while len(self._kept) > 1 and taken > self._kept_bytes:
                taken -= self._kept.popitem(last=False)[1].nbytes

    def _read_facts(self, path: Path) -> Found:
        key = str(path)
        with self._alone("facts", key):
            if key not in self._facts:
                self._raise_known(path)
                with self._defect_of(path), self._decoder() as decoder:
                    facts = decoder.facts(path)
                    if facts.cut:
                        raise _DamagedError(_cut(facts))
                self._facts[key] = facts
            return self._facts[key]

    @contextlib.contextmanager
    def _defect_of(self, path: Path) -> Iterator[None]:
        """Keep what is wrong with a file, so that it is tried once."""
        try:
            yield
        except _DamagedError as error:
            self._defects[str(path)] = str(error)
            self._raise_known(path)

    def _raise_known(self, path: Path) -> None:
        if str(path) in self._defects:
            raise QuestionError(Outcome.video_unreadable, f"{path.name}: {self._defects[str(path)]}")


def _cut(facts: Found) -> str:
    return f"cut off: ends at {facts.duration_s:.2f} s of {facts.promised_s or 0.0:.2f} s"


def unusable(defect: str) -> VideoFacts:
    """Facts of a file that is no video."""
    return VideoFacts(0, None, None, 0.0, 0, 0, 0, "", defect)


def probe(path: Path, decoder: Decoder) -> VideoFacts:
    """Decode a whole file and say what it is, or its defect."""
    try:
        facts = decoder.facts(path, every_frame=True)
    except _DamagedError as error:
        return unusable(str(error))
    promised, decoded, damaged = facts.promised, facts.decoded, facts.damaged
    defects = [_cut(facts)] if facts.cut else []
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
    """Frames a second, as the container says; None where it does not, or is no video."""
    try:
        return decoder.facts(path).fps
    except _DamagedError:
        return None
