"""EgoSchema (Mangalam et al., NeurIPS 2023): multiple-choice questions about three minutes of Ego4D.

`questions.json` (`dataset.questions`) is a list of entries such as

    {"q_uid": "001934bb-…", "question": "What is …?", "option 0": "…", …, "option 4": "…"}

and `subset_answers.json` (`dataset.answers`) is an object, question -> number of the right option, for 500 of the
5,031. The other questions have no public answer: they are read, worked on, and never scored (`unlabelled`). Without
`dataset.answers` that is every question. There are no types: the type is `choice`. Fields are those that the readers
in github.com/egoschema/EgoSchema use.

The hub's parquet (lmms-lab/egoschema, folders `MC` and `Subset`) has rows such as

    {"question_idx": "1", "question": "What is …?", "video_idx": "001934bb-…", "option": ["A. …", …, "E. …"],
     "answer": "3"}

whose answer is the number of an option in `Subset` and null in `MC`. Columns are those that lmms-eval reads
(github.com/EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks/egoschema/utils.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.json_files import json_object
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    checked,
    collect,
    given_file,
    numbered,
    question_of,
    questions_files,
    read_rows,
)
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

LETTERS = "ABCDE"


class EgoSchemaEntry(AnnotationEntry):
    q_uid: str
    question: str
    option_0: str = Field(alias="option 0")
    option_1: str = Field(alias="option 1")
    option_2: str = Field(alias="option 2")
    option_3: str = Field(alias="option 3")
    option_4: str = Field(alias="option 4")


class EgoSchemaRow(AnnotationEntry):
    video_idx: str
    question: str
    option: list[str] = Field(min_length=len(LETTERS), max_length=len(LETTERS))
    answer: int | None = None


class EgoSchemaAnswers(AnnotationEntry):
    numbers: dict[str, int]


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`, with the answers of `config.answers` where it has them.

    Raises:
        UserError: a file is not there, an entry is malformed, or the answers are to other questions.
    """
    paths = questions_files(config, "EgoSchema's file of questions (questions.json)")
    answers: dict[str, int] = {}
    if config.answers:
        of_answers = given_file("dataset.answers", config.answers, "EgoSchema's subset_answers.json, or leave it empty")
        numbers = json_object(of_answers, "EgoSchema's file of answers")
        answers = checked(EgoSchemaAnswers, {"numbers": numbers}, str(of_answers)).numbers
    rows = [placed for path in paths for placed in _rows(path)]
    strange = answers.keys() - {row.video_idx for _, row in rows}
    if strange:
        raise UserError(
            f"{config.answers}: answers {min(strange)!r}, which {config.questions} does not ask: give files that match"
        )
    videos = VideoIndex(config.root)
    return collect(_read_entries(rows, answers, config, videos), config.limit, videos.notes)


def _rows(path: Path) -> Iterator[tuple[str, EgoSchemaRow]]:
    """The entries of a file in the hub's shape, options without the letters before them."""
    for where, given in read_rows(path, "EgoSchema's file of questions", "q_uid"):
        if not (isinstance(given, dict) and "video_idx" in given):
            entry = checked(EgoSchemaEntry, given, where)
            options = [entry.option_0, entry.option_1, entry.option_2, entry.option_3, entry.option_4]
            yield where, EgoSchemaRow(video_idx=entry.q_uid, question=entry.question, option=options)
            continue
        if given.get("option") is None:
            raise UserError(f"{where}: has no options: give the hub's folder MC or Subset, not GENERATION")
        row = checked(EgoSchemaRow, given, where)
        bare = [re.sub(rf"^\s*{letter}\.\s", "", option) for letter, option in zip(LETTERS, row.option, strict=True)]
        yield where, row.model_copy(update={"option": bare})


def _read_entries(
    rows: Sequence[tuple[str, EgoSchemaRow]], answers: dict[str, int], config: DatasetConfig, videos: VideoIndex
) -> Iterator[ReadEntry]:
    for where, row in rows:
        name = row.video_idx
        question = question_of(
            config,
            question_id=f"egoschema_{name}",
            video_id=name,
            video=videos.stem(where, name, folders=("", "videos")),
            question=row.question,
            type="choice",
            options=row.option,
            answer=numbered(row.option, answers.get(name, row.answer), where),
        )
        yield ReadEntry(where, name, question)


BENCHMARK = Benchmark(read=read, origin=collection("egoschema"), extra_files=("answers",))
