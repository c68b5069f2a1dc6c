"""EgoQA: the questions about Ego4D clips in VideoChat2-IT (Li et al., CVPR 2024), which AoTD trains on.

`video/vqa/ego_qa/train.json` is a list of clips with their questions and answers:

    {"video": "d250521e-…/split_0.mp4", "QA": [{"i": "Watch the video and answer.", "q": "Where is …?", "a": "…"}]}

The instruction `i` is for another model and not read. There are no ids and no types: an id is made from clip and
question, and the type is `open`. `start` and `end`, which other files of VideoChat2-IT have, are read where they
are given. Written from the loader `it_dataset.py` in github.com/OpenGVLab/Ask-Anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    collect,
    list_entries,
    question_of,
    questions_files,
)
from aotd.datasets.video_files import VideoIndex


class EgoQAPair(AnnotationEntry):
    q: str
    a: str


class EgoQAClip(AnnotationEntry):
    video: str
    QA: list[EgoQAPair]
    start: float | None = None
    end: float | None = None


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = questions_files(config, "VideoChat2-IT's video/vqa/ego_qa/train.json")
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, videos), config.limit, videos.notes)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    for where, clip in (placed for path in paths for placed in list_entries(path, EgoQAClip, "EgoQA's file")):
        video = videos.file(where, clip.video)
        for place, pair in enumerate(clip.QA, start=1):
            hashed = json.dumps([clip.video, pair.q, clip.start, clip.end])
            question = question_of(
                config,
                question_id=f"egoqa_{hashlib.sha256(hashed.encode()).hexdigest()[:12]}",
                video_id=clip.video,
                video=video,
                question=pair.q,
                type="open",
                answer=pair.a,
                start_s=clip.start,
                end_s=clip.end,
            )
            yield ReadEntry(f"{where}, question {place}", clip.video, question)


BENCHMARK = Benchmark(read=read, origin=collection("egoqa"))
