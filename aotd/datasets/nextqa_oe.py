"""NExT-QA's open-ended questions, as github.com/doc-doc/NExT-OE publishes them.

    video,frame_count,width,height,question,answer,qid,type
    3233088823,462,640,480,how is the bulldozer controlled,from the drivers cabin,3,CH

Questions come in lower case and without a question mark. Types are those of the multiple-choice questions and DB
(descriptive: yes or no). A second reference answer, which the test split has in a file of its own, is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aotd.datasets.base import DatasetConfig, Loaded
from aotd.datasets.nextqa import TYPES as TYPES_OF_CHOICE
from aotd.datasets.reader import Found, Videos, collect, csv_rows, given_file, question_of
from aotd.errors import UserError

TYPES = (*TYPES_OF_CHOICE, "DB")


def read(config: DatasetConfig) -> Loaded:
    """The questions of `config.questions`; each names the video `<video>.mp4` below `config.root`.

    Raises:
        UserError: the file is not there, or a line of it is malformed.
    """
    path = given_file("dataset.questions", config.questions, "NExT-QA's CSV of open-ended questions (train.csv)")
    return collect(_found(path, config), config.limit)


def _found(path: Path, config: DatasetConfig) -> Iterator[Found]:
    videos = Videos(config.root)
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
        yield Found(where, row["video"], question)
