"""AGQA (Grunde-McLaughlin et al., CVPR 2021; version 2.0): compositional questions about Charades videos.

`train_balanced.txt` and `test_balanced.txt` are each one JSON object, a question under its id (shortened):

    {"6RAJ4-213": {"question": "What were they holding first?", "answer": "phone", "video_id": "6RAJ4",
                   "ans_type": "open", "structural": "query", "semantic": "object", "global": ["superlative"], …}}

All are open-ended. Those with `ans_type` binary are answered with one of two things that the question itself names,
or with yes or no. Programs and scene graphs are not read: AGQA's operations are not STAR's. The fields are those that
other readers of the files load (cs.stanford.edu/people/ranjaykrishna/agqa); a list whose entries have an `id` is read
as well.
"""

from __future__ import annotations

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

TYPE_FIELDS = ("structural", "semantic", "ans_type")


class AGQAEntry(AnnotationEntry):
    id: str
    question: str
    answer: str
    video_id: str
    structural: str
    semantic: str
    ans_type: str


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`. The whole file is held in memory while it is read.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    wanted = "AGQA 2.0's balanced questions (train_balanced.txt or test_balanced.txt)"
    videos = VideoIndex(config.root)
    return collect(_read_entries(questions_files(config, wanted), config, videos), config.limit, videos.notes)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    field = config.type_by or TYPE_FIELDS[0]
    rows = (placed for path in paths for placed in list_entries(path, AGQAEntry, "AGQA's file", "id"))
    for where, entry in rows:
        name = entry.video_id
        question = question_of(
            config,
            question_id=f"agqa_{entry.id}",
            video_id=name,
            video=videos.stem(where, name, folders=("", "videos", "Charades_v1_480")),
            question=entry.question,
            type=str(getattr(entry, field)),
            answer=entry.answer,
        )
        yield ReadEntry(where, name, question)


BENCHMARK = Benchmark(read=read, origin=collection("charades"), type_fields=TYPE_FIELDS)
