"""Questions' videos: files below a folder, of which the sampled frames are decoded once for all who ask.

Files are read by `aotd.video.decode`; what is known of one is kept here, its frames within a budget of bytes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from weakref import WeakValueDictionary

from aotd.datasets.base import locate
from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question
from aotd.runtime.lru import ByteLRU
from aotd.runtime.pools import cores
from aotd.video.clip import Pixels, frame_times, part_shown
from aotd.video.decode import DamagedError, Decoder, content_digest, cut_off
from aotd.video.facts import VideoFacts

_MOST_FRAMES = 100_000
CACHED_BYTES = 1 << 30
"""How much of decoded videos stays in memory for the next question."""

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
    """Opens questions' video files below a folder (`aotd.specialists.protocols.Source`).

    Several threads may use it: each has a decoding process while it needs one, and what two of them ask for at the
    same time is done once. What is known of a file (facts, defect, digest, frames) was true when it was read: a file
    that is changed meanwhile is not noticed, and can have the digest of one state and the frames of another.
    """

    def __init__(self, root: str, frames: int, deadline_s: float, cached_bytes: int = CACHED_BYTES) -> None:
        """Args:
            root: the folder.
            frames: how many are sampled from each video.
            deadline_s: how long a file may go without progress.
            cached_bytes: how much of decoded videos stays in memory; the last one does in any case.

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
        self._cores = threading.Semaphore(cores())
        """More files at once would not be read sooner."""
        self._paths: dict[str, Path] = {}
        self._facts: dict[str, VideoFacts] = {}
        self._defects: dict[str, str] = {}
        self._useless = ""
        """Why nothing can be decoded here at all."""
        self._contents: dict[str, str] = {}
        self._cached: ByteLRU[_Key, Pixels] = ByteLRU(cached_bytes, lambda pixels: pixels.nbytes)
        self._cached_bytes = cached_bytes
        self._held: WeakValueDictionary[_Key, Pixels] = WeakValueDictionary()
        """What somebody still has in hand, though it may have been let go here."""
        self._largest = 0
        """Bytes of the largest video so far."""
        self._lock = threading.Lock()
        """Held while `_cached` or `_locks` is looked at, never while a file is read."""
        self._locks: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)
        """Held by whoever finds out what is under a key."""

    def begin(self, count: int) -> None:
        """Start the processes that will decode `count` videos, no more than can be at work at once.

        Raises:
            UserError: nothing can be decoded here.
        """
        if decoders := [Decoder(self._deadline_s) for _ in range(min(count, cores()))]:
            with ThreadPoolExecutor(len(decoders)) as pool:
                list(pool.map(Decoder.begin, decoders))
            self._idle += decoders

    def open(self, question: Question) -> DecodedVideo:
        """The video of a question; reads the container and the first frame, and decodes the rest when asked for.

        Raises:
            QuestionError: `video_unreadable`: no such file, not a video, cut off, or over before the question's part.
            UserError: nothing can be decoded here.
        """
        if question.video is None:
            raise QuestionError(Outcome.video_unreadable, "the question names no video file")
        if question.video not in self._paths:
            self._paths[question.video] = locate(self._root, question.video)
        path = self._paths[question.video]
        facts = self._read_facts(path)
        part = part_shown(question.start_s, question.end_s, facts.duration_s)
        if part is None:
            raise QuestionError(
                Outcome.video_unreadable,
                f"{question.video}: the part from {question.start_s or 0.0:g} s is not in it, it ends at "
                f"{facts.duration_s:.2f} s",
            )
        return DecodedVideo(
            video_id=question.video_id,
            frames=self._frames,
            start_s=part[0],
            end_s=part[1],
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
                    self._contents[key] = content_digest(video.path)
            return self._contents[key]

    def room(self) -> int:
        """How many videos as large as the largest so far can be kept."""
        return self._cached_bytes // self._largest if self._largest else sys.maxsize

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
            if self._useless:  # it was tried while this thread waited
                raise UserError(self._useless)
            try:
                decoder = self._idle.pop()
            except IndexError:  # all are at work
                decoder = Decoder(self._deadline_s)
            try:
                yield decoder
            except UserError as error:
                self._useless = str(error)
                raise
            finally:
                self._idle.append(decoder)

    def _known(self, key: _Key) -> Pixels | None:
        with self._lock:
            self._cached.get(key)  # used last
            return self._held.get(key)

    def _keep(self, key: _Key, pixels: Pixels) -> None:
        with self._lock:
            self._cached[key] = self._held[key] = pixels
            self._largest = max(self._largest, pixels.nbytes)

    def _read_facts(self, path: Path) -> VideoFacts:
        key = str(path)
        with self._alone("facts", key):
            if key not in self._facts:
                self._raise_known(path)
                with self._defect_of(path), self._decoder() as decoder:
                    facts = decoder.facts(path)
                    if facts.cut:
                        raise DamagedError(cut_off(facts))
                self._facts[key] = facts
            return self._facts[key]

    @contextlib.contextmanager
    def _defect_of(self, path: Path) -> Iterator[None]:
        """Keep what is wrong with a file, so that it is tried once."""
        try:
            yield
        except DamagedError as error:
            self._defects[str(path)] = str(error)
            self._raise_known(path)

    def _raise_known(self, path: Path) -> None:
        if str(path) in self._defects:
            raise QuestionError(Outcome.video_unreadable, f"{path.name}: {self._defects[str(path)]}")
