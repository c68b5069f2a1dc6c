"""Frames in: video files decoded in a separate process that is killed when it is late or damaged.

    $ aotd load dataset=clips dataset.root=DIR         names what each file is, or its defect

A file from the internet is hostile until shown otherwise: decoders hang, crash, return fewer frames
than promised, and follow playlists to other files. So `aotd.video.worker` decodes, knows only
containers that hold their own frames, and this module believes nothing it says that does not add up.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aotd.datasets.base import locate
from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question
from aotd.stop import SIGNALS
from aotd.video.clip import Pixels, frame_times

_WORKER = Path(__file__).with_name("worker.py")
_INHERITED = ("HOME", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")
"""What the decoding process may know of the environment: how to find its libraries, and no secrets."""
_HEADER_BYTES = 1 << 20
_SAMPLE_BYTES = 4 << 30
"""The most that the sampled frames of one video may take."""
_KEPT = 4
_KEPT_BYTES = 1 << 30
"""How many decoded videos, and how much of them, stay in memory for the next question."""

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


class _KilledError(_DamagedError):
    """Somebody has killed the decoding process: the file may be sound."""


class Decoder:
    """The parent's end of one decoding process; started at the first request, again after it had to be killed.

    A request whose process is killed by somebody else (for want of memory, or with the whole job) is sent once more.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None

    def facts(self, path: Path, every_frame: bool = False) -> dict[str, Any]:
        """`aotd.video.worker.Facts` of a file, as a dict.

        Raises:
            _DamagedError: not a video, or decoding hung or crashed.
        """
        return self._twice(lambda: self._facts(path, every_frame))

    def _facts(self, path: Path, every_frame: bool) -> dict[str, Any]:
        with self._request({"do": "probe" if every_frame else "facts", "path": str(path)}) as reply:
            header = reply.header()
            if not isinstance(header.get("facts"), dict):
                raise _DamagedError("the decoder answered nonsense")
            return dict(header["facts"])

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
        with self._request({"do": "frames", "path": str(path), "times": times}) as reply:
            while filled < len(times):
                header = reply.header()
                first, copies = header.get("first"), header.get("copies")
                sound = first == filled and isinstance(copies, int) and 0 < copies <= len(times) - filled
                if not sound or header.get("shape") != [height, width, 3] or header.get("bytes") != size:
                    raise _DamagedError("the decoder answered frames of another shape or number")
                assert isinstance(copies, int)
                reply.into(memoryview(pixels[filled]).cast("B"))
                pixels[filled + 1 : filled + copies] = pixels[filled]
                filled += copies
            reply.header()
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
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            self._process = None

    def __del__(self) -> None:
        # Whoever drops the last reference to a source of videos means to end its process with it.
        self.close()

    @contextlib.contextmanager
    def _request(self, request: dict[str, Any]) -> Any:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
        try:
            text = json.dumps({**request, "deadline_s": self._deadline_s}).encode()
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it died; the reply says how
                self._process.stdin.write(struct.pack(">I", len(text)) + text)
                self._process.stdin.flush()
            yield _Reply(self._process, self._deadline_s)
        except _RefusedError as error:
            raise _DamagedError(str(error)) from None  # the process said so itself, and is fit for the next file
        except BaseException:
            self.close()  # late, dead, or in the middle of an answer nobody will read
            raise


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

    def header(self) -> dict[str, Any]:
        head = bytearray(4)
        self.into(memoryview(head))
        (length,) = struct.unpack(">I", head)
        if length > _HEADER_BYTES:
            raise _DamagedError("the decoder answered nonsense")
        text = bytearray(length)
        self.into(memoryview(text))
        try:
            header = json.loads(text)
        except (ValueError, RecursionError):
            raise _DamagedError("the decoder answered nonsense") from None
        if not isinstance(header, dict):
            raise _DamagedError("the decoder answered nonsense")
        if "error" in header:
            raise _RefusedError(str(header["error"])[:300])
        return header

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
                    status = self._process.wait()
                    kind = _KilledError if -status in (signal.SIGKILL, *SIGNALS) else _DamagedError
                    raise kind(f"the decoder crashed on it (status {status})")
                target = target[count:]


_Key = tuple[str, float, float]


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


class DecodedVideos:
    """Opens questions' video files below a folder (`aotd.specialists.base.Source`)."""

    def __init__(self, root: str, frames: int, deadline_s: float) -> None:
        if not Path(root).is_dir():
            raise UserError(f"{root} is not a folder: set dataset.root to the folder of the videos")
        self.model = f"pyav {version('av')}"
        self._root = root
        self._frames = frames
        self._decoder = Decoder(deadline_s)
        self._facts: dict[str, dict[str, Any]] = {}
        self._defects: dict[str, str] = {}
        self._kept: OrderedDict[_Key, Pixels] = OrderedDict()

    def open(self, question: Question) -> DecodedVideo:
        """The video of a question; reads the container and the first frame, and decodes the rest when asked for.

        Raises:
            QuestionError: `video_unreadable`: no such file, not a video, cut off, or shorter than the question's part.
        """
        if question.video is None:
            raise QuestionError(Outcome.video_unreadable, "the question names no video file")
        path = locate(self._root, question.video)
        facts = self._read_facts(path)
        duration_s = facts["duration_s"]
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
            width=facts["width"],
            height=facts["height"],
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
        slack_s = 0.5 / facts["fps"] if facts["fps"] else 0.0
        return video.start_s <= slack_s and video.end_s >= facts["duration_s"] - slack_s

    def pixels(self, video: DecodedVideo) -> Pixels:
        """The sampled frames of a video this source has opened; the last few stay in memory."""
        key = (str(video.path), video.start_s, video.end_s)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._raise_known(video.path)
        times = frame_times(video.start_s, video.end_s, video.frames)
        try:
            pixels = self._decoder.frames(video.path, times, video.width, video.height)
        except _DamagedError as error:
            self._defects[str(video.path)] = str(error)
            self._raise_known(video.path)
            raise AssertionError from error
        self._kept[key] = pixels
        while len(self._kept) > _KEPT or (
            len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > _KEPT_BYTES
        ):
            self._kept.popitem(last=False)
        return pixels

    def close(self) -> None:
        """End the decoding process."""
        self._decoder.close()

    def _read_facts(self, path: Path) -> dict[str, Any]:
        if str(path) not in self._facts:
            self._raise_known(path)
            try:
                _check_file(path)
                facts = self._decoder.facts(path)
                if facts["cut"]:
                    raise _DamagedError(_cut(facts))
            except _DamagedError as error:
                self._defects[str(path)] = str(error)
                self._raise_known(path)
            self._facts[str(path)] = facts
        return self._facts[str(path)]

    def _raise_known(self, path: Path) -> None:
        if str(path) in self._defects:
            raise QuestionError(Outcome.video_unreadable, f"{path.name}: {self._defects[str(path)]}")


def _check_file(path: Path) -> None:
    """A pipe or a device would be waited for."""
    if not path.is_file():
        raise _DamagedError("is a folder, a pipe or a device" if path.exists() else "no such file")


def _cut(facts: dict[str, Any]) -> str:
    return f"cut off: ends at {facts['duration_s']:.2f} s of {facts['promised_s']:.2f} s"


def unusable(defect: str) -> VideoFacts:
    """Facts of a file that is no video."""
    return VideoFacts(0, None, None, 0.0, 0, 0, 0, "", defect)


def probe(path: Path, decoder: Decoder) -> VideoFacts:
    """Decode a whole file and say what it is, or its defect."""
    try:
        _check_file(path)
        facts = decoder.facts(path, every_frame=True)
    except _DamagedError as error:
        return unusable(str(error))
    promised, decoded, damaged = facts["promised"], facts["decoded"], facts["damaged"]
    defects = [_cut(facts)] if facts["cut"] else []
    if promised is not None and decoded < promised:
        defects.append(f"{promised - decoded} of {promised} frames cannot be decoded")
    if damaged:
        defects.append(f"damaged in {damaged} places")
    return VideoFacts(
        frames=decoded,
        promised=promised,
        fps=facts["fps"],
        duration_s=facts["duration_s"],
        width=facts["width"],
        height=facts["height"],
        rotation=facts["rotation"],
        codec=facts["codec"],
        defect="; ".join(defects) or None,
    )


def frame_rate(path: Path, decoder: Decoder) -> float | None:
    """Frames a second, as the container says; None where it does not, or is no video."""
    try:
        fps: float | None = decoder.facts(path)["fps"] if path.is_file() else None
    except _DamagedError:
        return None
    return fps
