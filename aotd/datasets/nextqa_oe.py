"""NExT-QA's open-ended questions, as github.com/doc-doc/NExT-OE publishes them.

    video,frame_count,width,height,question,answer,qid,type
    3233088823,462,640,480,how is the bulldozer controlled,from the drivers cabin,3,CH

Questions come in lower case and without a question mark. Types are those of the multiple-choice questions and DB
(descriptive: yes or no). A second reference answer, which the test split has in a file of its own, is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.nextqa import TYPES as TYPES_OF_CHOICE
from aotd.datasets.nextqa import groups
from aotd.datasets.reader import ReadEntry, VideoPlaces, collect, csv_rows, question_of, questions_file
from aotd.errors import UserError

TYPES = (*TYPES_OF_CHOICE, "DB")


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`; each names the video `<video>.mp4` below `config.root`.

    Raises:
        UserError: the file is not there, or a line of it is malformed.
    """
    path = questions_file(config, "NExT-QA's CSV of open-ended questions (train.csv)")
    return collect(_read_entries(path, config), config.limit)


def _read_entries(path: Path, config: DatasetConfig) -> Iterator[ReadEntry]:
    videos = VideoPlaces(config.root)
    needed = ("video", "question", "answer", "qid", "type")
    for where, row in csv_rows(path, needed, "NExT-QA's CSV of open-ended questions"):
        if "a0" in row:
            raise UserError(f"{path}:1: these are NExT-QA's multiple-choice questions: set dataset=nextqa")
        if row["type"] not in TYPES:
            raise UserError(f"{where}: type {row['type']!r} is not one of {', '.join(TYPES)}")
        question = question_of(
            config,
            question_id=f"nextqa_oe_{row['video']}_{row['qid']}",
            video_id=row["video"],
            video=videos.find(where, f"{row['video']}.mp4"),
            question=row["question"],
            type=row["type"],
            answer=row["answer"],
        )
        yield ReadEntry(where, row["video"], question)


BENCHMARK = Benchmark(read=read, origin=collection("vidor"), groups=groups)
