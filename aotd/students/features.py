"""Which frames a student sees, and what it keeps of a run's videos.

The specialists sample `seen` frames and number them `0 … seen - 1`; every number in a rationale is one
of those. A student may see fewer, spread evenly over the specialists' ones, and is told the specialists'
number of each: its `k`-th of `count` frames is number `floor((k + 0.5) * seen / count)`.
"""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotd.records import Question
from aotd.runtime.lru import ByteLRU
from aotd.specialists import SpecialistsConfig
from aotd.specialists.load import SOURCES
from aotd.store.files import whole_file
from aotd.store.run import Run

if TYPE_CHECKING:
    from aotd.specialists.protocols import Source
    from aotd.video.clip import Pixels
    from aotd.video_llms.base import VideoFeatures, VideoLLM


CACHED_BYTES = 256 << 20
"""How much of the views that were asked for last stays in memory."""


class FeatureCache:
    """A student's views of a run's videos, made once each and kept as safetensors files in a folder."""

    def __init__(self, folder: Path, source: Source, student: VideoLLM, budget: int = CACHED_BYTES) -> None:
        self._folder, self._source, self._student = folder, source, student
        self._feature_key = json.dumps(student.feature_key, sort_keys=True)
        self._keys: dict[tuple[Any, ...], str] = {}
        self._cached: ByteLRU[str, VideoFeatures] = ByteLRU(budget, _bytes)
        self._writer = ThreadPoolExecutor(1, "views")
        self._writing: tuple[str, Future[None]] | None = None
        """The key of the view that was made last, while it is written."""

    def key(self, question: Question) -> str:
        """Name of what is seen: equal for questions about the same part of the same video."""
        part = (question.dataset, question.video_id, question.video, question.start_s, question.end_s)
        if part not in self._keys:
            told = json.dumps([part, self._source.model, self._feature_key])
            self._keys[part] = hashlib.sha256(told.encode()).hexdigest()[:24]
        return self._keys[part]

    def features(self, question: Question) -> VideoFeatures:
        """What the student keeps of a question's video; not to be changed.

        Raises:
            QuestionError: `video_unreadable`.
        """
        key = self.key(question)
        if key not in self._cached:
            self._cached[key] = self._read(question)
        return self._cached[key]

    def _read(self, question: Question) -> VideoFeatures:
        from safetensors.torch import load_file

        return load_file(self._file(question))

    def _file(self, question: Question) -> Path:
        self.ensure(question)
        self.flush()
        return self._path(question)

    def _path(self, question: Question) -> Path:
        return self._folder / f"{self.key(question)}.safetensors"

    def pixels(self, question: Question) -> Pixels:
        """The frames that the specialists see, RGB `[frames, height, width, 3]`.

        Raises:
            QuestionError: `video_unreadable`.
        """
        return self._source.open(question).pixels()

    def ensure(self, question: Question) -> None:
        """Make a view if there is none yet. It is written while the next video is decoded.

        Raises:
            QuestionError: `video_unreadable`.
            UserError: as `flush`.
        """
        key, path = self.key(question), self._path(question)
        if (self._writing is not None and self._writing[0] == key) or path.is_file():
            return
        started = time.perf_counter()
        view = self._student.encode_video(self._source.open(question))
        took_s = time.perf_counter() - started
        self.flush()
        self._writing = key, self._writer.submit(_write, path, view, took_s)

    def flush(self) -> None:
        """Wait until every view that was made is a file.

        Raises:
            UserError: the disk does not take one.
        """
        if self._writing is not None:
            writing, self._writing = self._writing[1], None
            writing.result()

    def seconds(self, question: Question) -> float | None:
        """What a view took when it was made, decoding included; None where it does not say.

        Raises:
            QuestionError: `video_unreadable`.
        """
        from safetensors import safe_open

        with safe_open(self._file(question), "pt") as file:
            told = (file.metadata() or {}).get("seconds")
        return None if told is None else float(told)


def run_features(run: Run, specialists: SpecialistsConfig, root: str, student: VideoLLM) -> FeatureCache:
    """Return the cache of a student's features of a run's videos. Its files lie below the run's distill/.

    Args:
        root: folder of the videos.

    Raises:
        UserError: the folder of the videos is not there.
    """
    source: Any = SOURCES[specialists.source]
    opened = source(replace(specialists, frames=student.specialist_frames), root)
    return FeatureCache(run.folder / "distill" / "views", opened, student)


def _bytes(view: VideoFeatures) -> int:
    return sum(tensor.nbytes for tensor in view.values())


def _write(path: Path, view: VideoFeatures, seconds: float) -> None:
    """Write tensors, and what they took, so that nobody ever sees half of them."""
    from safetensors.torch import save_file

    from aotd.store.tensors import tensor_errors

    with whole_file(path, named=False) as partial, tensor_errors(path):
        save_file(dict(view), partial, metadata={"seconds": f"{seconds:.6f}"})
