"""NExT-QA's open-ended questions, as github.com/doc-doc/NExT-OE publishes them.

    video,frame_count,width,height,question,answer,qid,type
    3233088823,462,640,480,how is the bulldozer controlled,from the drivers cabin,3,CH

The hub's parquet (lmms-lab/NExTQA, folder OE) has the same columns, with numbers as numbers, and
`additional_ref_answer`.

Questions come in lower case and without a question mark. Types are those of the multiple-choice questions and DB
(descriptive: yes or no). A second reference answer, which the test split has in that column or in a file of its own,
is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.nextqa import TYPES as TYPES_OF_CHOICE
from aotd.datasets.nextqa import groups, heading_of, table_rows
from aotd.datasets.reader import ReadEntry, collect, question_of, questions_files
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

TYPES = (*TYPES_OF_CHOICE, "DB")


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`; each names a video below `config.root`.

    Raises:
        UserError: the file is not there, or a line of it is malformed.
    """
    paths = questions_files(config, "NExT-QA's CSV of open-ended questions (train.csv)")
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, videos), config.limit, videos.notes)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    needed = ("video", "question", "answer", "qid", "type")
    for where, row in table_rows(paths, needed, "NExT-QA's table of open-ended questions"):
        if "a0" in row:
            raise UserError(
                f"{heading_of(paths[0])}: these are NExT-QA's multiple-choice questions: set dataset=nextqa"
            )
        if row["type"] not in TYPES:
            raise UserError(f"{where}: type {row['type']!r} is not one of {', '.join(TYPES)}")
        question = question_of(
            config,
            question_id=f"nextqa_oe_{row['video']}_{row['qid']}",
            video_id=row["video"],
            video=videos.stem(where, row["video"]),
            question=row["question"],
            type=row["type"],
            answer=row["answer"],
        )
        yield ReadEntry(where, row["video"], question)


BENCHMARK = Benchmark(read=read, origin=collection("vidor"), groups=groups)
