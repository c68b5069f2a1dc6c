"""Which frames a student sees, and the cache of its features of a run's videos.

The specialists sample `specialist_frames` frames and number them from 0; every frame number in a rationale is one of
those. A student may see fewer, spread evenly over the specialists' frames. It is given the specialists' number of each:
its `k`-th of `count` frames is number `floor((k + 0.5) * specialist_frames / count)`.
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
from aotd.store.untrusted import read_manifest

if TYPE_CHECKING:
    from aotd.specialists.protocols import Source
    from aotd.video.clip import Pixels
    from aotd.video_llms.base import VideoFeatures, VideoLLM


CACHED_BYTES = 256 << 20
"""How much of the features that were used last stays in memory."""


class FeatureCache:
    """A student's features of a run's videos, computed once each and stored as safetensors files in a folder."""

    def __init__(self, folder: Path, source: Source, student: VideoLLM, budget: int = CACHED_BYTES) -> None:
        self._folder, self._source, self._student = folder, source, student
        self._feature_key = json.dumps(student.feature_key, sort_keys=True)
        self._keys: dict[tuple[Any, ...], str] = {}
        self._cached: ByteLRU[str, VideoFeatures] = ByteLRU(budget, _bytes)
        self._writer = ThreadPoolExecutor(1, "views")
        self._writing: tuple[str, Future[None]] | None = None
        """The key of the features that were computed last, while they are written."""

    def key(self, question: Question) -> str:
        """Return the name of the features: equal for questions about the same part of the same video."""
        part = (question.dataset, question.video_id, question.video, question.start_s, question.end_s)
        if part not in self._keys:
            named = json.dumps([part, self._source.model, self._feature_key])
            self._keys[part] = hashlib.sha256(named.encode()).hexdigest()[:24]
        return self._keys[part]

    def features(self, question: Question) -> VideoFeatures:
        """Return the features of a question's video; not to be changed.

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
        """Return the frames that the specialists see, RGB `[frames, height, width, 3]`.

        Raises:
            QuestionError: `video_unreadable`.
        """
        return self._source.open(question).pixels()

    def ensure(self, question: Question) -> None:
        """Compute the features if there are none yet. They are written while the next video is decoded.

        Raises:
            QuestionError: `video_unreadable`.
            UserError: as `flush`.
        """
        key, path = self.key(question), self._path(question)
        if (self._writing is not None and self._writing[0] == key) or path.is_file():
            return
        started = time.perf_counter()
        features = self._student.encode_video(self._source.open(question))
        took_s = time.perf_counter() - started
        self.flush()
        self._writing = key, self._writer.submit(write_features, path, features, took_s)

    def flush(self) -> None:
        """Wait until all features that were computed are files.

        Raises:
            UserError: the disk refuses one.
        """
        if self._writing is not None:
            writing, self._writing = self._writing[1], None
            writing.result()

    def seconds(self, question: Question) -> float | None:
        """Return what the features took to compute, decoding included; None where their file does not say.

        Raises:
            QuestionError: `video_unreadable`.
        """
        from safetensors import safe_open

        with safe_open(self._file(question), "pt") as file:
            seconds = (file.metadata() or {}).get("seconds")
        return None if seconds is None else float(seconds)


class NoFeatures(FeatureCache):
    """Stands for the features of a student that is given no video: they are empty, and no video is opened for them."""

    def features(self, question: Question) -> VideoFeatures:
        return {}

    def ensure(self, question: Question) -> None:
        pass

    def seconds(self, question: Question) -> float | None:
        return 0.0


def run_features(
    run: Run, specialists: SpecialistsConfig, root: str, student: VideoLLM, video: bool = True
) -> FeatureCache:
    """Return the cache of a student's features of a run's videos. Its files lie below the run's distill/.

    Args:
        root: folder of the videos.
        video: False: the student is given none.

    Raises:
        UserError: the folder of the videos is not there.
    """
    source: Any = SOURCES[specialists.source]
    opened = source(replace(specialists, frames=student.specialist_frames), root)
    kind = FeatureCache if video else NoFeatures
    return kind(run.folder / "distill" / "views", opened, student)


def sees_video(student: Path) -> bool:
    """Tell whether a saved student is given videos (`distill.arms.NAME.video`), as `distill` has written beside it.

    Args:
        student: its folder. One that lies in no arm's folder is given them.

    Raises:
        UserError: the arm's manifest is damaged.
    """
    path = student.parent / "manifest.json"
    settings = read_manifest(path).get("settings") if student.name == "student" and path.is_file() else None
    arm = settings.get("arm") if isinstance(settings, dict) else None
    return not (isinstance(arm, dict) and arm.get("video") is False)


def _bytes(features: VideoFeatures) -> int:
    return sum(tensor.nbytes for tensor in features.values())


def write_features(path: Path, features: VideoFeatures, seconds: float) -> None:
    """Write tensors, and the seconds they took, so that no reader sees half of them."""
    from safetensors.torch import save_file

    from aotd.store.tensors import tensor_errors

    with whole_file(path, named=False) as partial, tensor_errors(path):
        save_file(dict(features), partial, metadata={"seconds": f"{seconds:.6f}"})
