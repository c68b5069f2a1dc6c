"""Specialists over stored text: one caption per second of each video, and a sentence-embedding model.

    {"4010069381": {"0": "A man is seated on the floor …", "1": "…"}, …}

For real questions on real videos where no vision model is at hand: the captions are the perception
(written beforehand by a captioning model), and everything is decided by the similarity of texts. The
specialists see captions and what the program asks, never an annotation. What to expect of them is
measured in `docs/results.md`; spans are weak, since captions describe scenes more than actions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aotd.datasets.json_files import read_json
from aotd.errors import QuestionError, UserError
from aotd.records import Detection, Outcome, Question, SpanFinding
from aotd.specialists import SpecialistsConfig
from aotd.specialists.embedder import Embedder, Vectors, load_embedder
from aotd.specialists.temporal_peak import around_peak
from aotd.video.clip import Clip, Pixels, frame_times

_BACKGROUND = 300
"""How many captions of the whole file show what captions say about anything."""
_BACKGROUND_NEAREST = 10
_BACKGROUND_WEIGHT = 0.7
"""How much of what a text has in common with any caption is taken off its similarity to these. The idea
is that of cross-domain similarity local scaling (Conneau et al. 2018): texts that lie near everything."""
_ASKED_WEIGHT = 0.1
"""How much the likeness of question and option by themselves counts."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")


@dataclass(frozen=True)
class CaptionVideo:
    """A video of which only captions are stored: frame numbers and times, no pixels."""

    video_id: str
    frames: int
    start_s: float
    end_s: float
    content: str
    """SHA-256 of the captions, in hex."""
    width: int = 0
    height: int = 0

    def pixels(self) -> Pixels:
        """There are none.

        Raises:
            QuestionError: `tool_failed`, always: a specialist for pixels was put on stored captions.
        """
        raise QuestionError(Outcome.tool_failed, "stored captions hold no pixels: use specialists=captions throughout")


class Captions:
    """Source, grounder, recogniser and answerer over stored captions; a detector that says it cannot be one."""

    def __init__(self, captions: Mapping[str, Sequence[str]], embedder: Embedder, frames: int) -> None:
        """Args:
        captions: video id -> the captions of its seconds 0, 1, 2, …
        frames: how many frames are sampled uniformly; each stands for the caption of its second.
        """
        self._captions = captions
        self._embedder = embedder
        self._frames = frames
        everything = sorted({text for video in captions.values() for text in video}, key=_shuffled)
        self._background_texts = everything[:_BACKGROUND]
        self._background: Vectors | None = None
        content = json.dumps({name: list(captions[name]) for name in sorted(captions)}).encode()
        self.model = f"captions {hashlib.sha256(content).hexdigest()[:12]}, {embedder.model}"

    def open(self, question: Question) -> CaptionVideo:
        """The captions of a question's video; as many seconds long as there are captions.

        Raises:
            QuestionError: `video_unreadable`: there are no captions of it, or none in the question's part.
        """
        texts = self._captions.get(question.video_id)
        if not texts:
            raise QuestionError(Outcome.video_unreadable, f"no captions are stored of video {question.video_id}")
        start_s = question.start_s or 0.0
        end_s = float(len(texts)) if question.end_s is None else min(question.end_s, float(len(texts)))
        if not start_s < end_s:
            raise QuestionError(
                Outcome.video_unreadable, f"the captions end at {len(texts)} s, before the question's part"
            )
        content = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
        return CaptionVideo(question.video_id, self._frames, start_s, end_s, content)

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """Not possible.

        Raises:
            QuestionError: `tool_failed`, always. "Nothing found" would be untrue.
        """
        raise QuestionError(Outcome.tool_failed, "stored captions hold no boxes: things cannot be looked for in them")

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The stretch of the clip around the moment whose captions are most like the query.

        Captions always are somewhat alike, so a span is found in every clip that is not empty; `score` is
        the cosine similarity of its best caption.
        """
        if not clip.numbers:
            return None
        curve = self._similar(clip, [query])[:, 0]
        first, last = around_peak(curve, clip.video.frames)
        return SpanFinding(
            start=clip.numbers[first],
            end=clip.numbers[last] + 1,
            score=round(float(np.clip(curve[first : last + 1].max(), 0, 1)), 3),
        )

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """The candidates, best first: how well the best caption fits each. Without candidates, the three
        sentences of the captions that are most about someone doing something (with `obj`)."""
        if not clip.numbers:
            return []
        if not candidates:
            return self._sentences(
                clip, f"someone is doing something with the {obj}" if obj else "someone is doing it", 3
            )
        asked = [f"{candidate} {obj}" if obj and obj not in candidate else candidate for candidate in candidates]
        scores = self._similar(clip, asked).max(axis=0) - self._common(asked)
        return [candidates[at] for at in _best_first(scores)]

    def answer(self, clip: Clip, question: str) -> str:
        """The sentence of the clip's captions that is most like the question."""
        return next(iter(self._sentences(clip, question, 1)), "nothing is seen")

    def summarise(self, clip: Clip, query: str) -> str:
        """The clip's caption that is most like the query; without a query, the one most like all the others."""
        texts = self._texts(clip)
        if not texts:
            return "nothing is seen"
        vectors = self._embedder.embed(texts)
        towards = self._embedder.embed([query])[0] if query.strip() else vectors.mean(axis=0)
        return texts[_best_first(vectors @ towards)[0]]

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The option that, by itself and after the question, is most like one of the texts in `info`.

        What an option has in common with any caption is taken off. None where `info` says nothing.
        """
        told = [text for text in info.values() if text.strip() and text != "nothing is seen"]
        if not told:
            return None
        if not options:
            return _sentences_of(told[0])[0]
        evidence = self._embedder.embed(told)
        scores = np.zeros(len(options), np.float32)
        for asked in (list(options), [f"{question.rstrip('?')}? {option}" for option in options]):
            scores += 0.5 * ((evidence @ self._embedder.embed(asked).T).max(axis=0) - self._common(asked))
        scores += _ASKED_WEIGHT * (self._embedder.embed(list(options)) @ self._embedder.embed([question])[0])
        return options[_best_first(scores)[0]]

    def _texts(self, clip: Clip) -> list[str]:
        """The caption of each frame of the clip."""
        video = clip.video
        stored = self._captions.get(video.video_id)
        if not stored:
            raise QuestionError(Outcome.tool_failed, f"no captions are stored of video {video.video_id}")
        times = frame_times(video.start_s, video.end_s, video.frames)
        return [stored[min(int(times[number]), len(stored) - 1)] for number in clip.numbers]

    def _similar(self, clip: Clip, texts: Sequence[str]) -> NDArray[np.float32]:
        """Similarity of each frame's caption to each text: `[frames, texts]`."""
        similar: NDArray[np.float32] = self._embedder.embed(self._texts(clip)) @ self._embedder.embed(texts).T
        return similar

    def _common(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What is taken off each text's similarity: how like the nearest of unrelated captions it is."""
        if self._background is None:
            self._background = self._embedder.embed(self._background_texts)
        near = np.sort(self._background @ self._embedder.embed(texts).T, axis=0)[-_BACKGROUND_NEAREST:]
        common: NDArray[np.float32] = _BACKGROUND_WEIGHT * near.mean(axis=0)
        return common

    def _sentences(self, clip: Clip, query: str, count: int) -> list[str]:
        """The sentences of the clip's captions that are most like the query, best first."""
        found = list(dict.fromkeys(part for text in self._texts(clip) for part in _sentences_of(text)))
        if not found:
            return []
        scores = self._embedder.embed(found) @ self._embedder.embed([query])[0]
        return [found[at] for at in _best_first(scores)[:count]]


@lru_cache(maxsize=2)  # one object serves every sub-task of a run
def load_captions(path: str, embedder: str, frames: int) -> Captions:
    """The specialists over a file of captions.

    Args:
        path: JSON, `{video: {second: caption}}`.
        embedder: folder of a sentence-embedding model; empty for the installed package's.

    Raises:
        UserError: the file or the model is not there, or the file is malformed.
    """
    return Captions(read_captions(path), load_embedder(embedder), frames)


def captions_specialist(settings: SpecialistsConfig) -> Captions:
    """Build the source and specialist of every sub-task over stored captions, as the settings say."""
    return load_captions(settings.captions, settings.embedder, settings.frames)


def read_captions(path: str) -> dict[str, list[str]]:
    """Video id -> the captions of its seconds 0, 1, 2, ….

    Raises:
        UserError: no such file, or a video's seconds do not count up from 0.
    """
    if not path or not Path(path).is_file():
        raise UserError(f"specialists.captions: {path or 'not set'}: give a JSON file {{video: {{second: caption}}}}")
    stored = read_json(Path(path))
    if not isinstance(stored, dict):
        raise UserError(f"{path}: wants an object {{video: {{second: caption}}}}")
    found = {}
    for video, seconds in stored.items():
        wanted = [str(second) for second in range(len(seconds))] if isinstance(seconds, dict) else None
        if wanted is None or set(seconds) != set(wanted) or not all(isinstance(text, str) for text in seconds.values()):
            raise UserError(f"{path}: video {video!r}: wants one caption for each second 0, 1, 2, …")
        found[video] = [seconds[second].strip() for second in wanted]
    return found


def _best_first(scores: NDArray[np.float32]) -> list[int]:
    """Positions by score. Rounded, so that the last bits, which depend on how texts were batched, never decide."""
    return sorted(range(len(scores)), key=lambda at: (-round(float(scores[at]), 4), at))


def _sentences_of(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def _shuffled(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
