"""EgoSchema (Mangalam et al., NeurIPS 2023): multiple-choice questions about three minutes of Ego4D.

`questions.json` (`dataset.questions`) is a list of entries such as

    {"q_uid": "001934bb-…", "question": "What is …?", "option 0": "…", …, "option 4": "…"}

and `subset_answers.json` (`dataset.answers`) is an object, question -> number of the right option, for 500 of the
5,031. The other questions have no public answer: they are read, worked on, and never scored (`unlabelled`). Without
`dataset.answers` that is every question. There are no types: the type is `choice`. Fields are those that the readers
in github.com/egoschema/EgoSchema use.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    VideoPlaces,
    checked,
    collect,
    given_file,
    json_object,
    list_entries,
    numbered,
    question_of,
    questions_file,
)
from aotd.errors import UserError


class EgoSchemaEntry(AnnotationEntry):
    q_uid: str
    question: str
    option_0: str = Field(alias="option 0")
    option_1: str = Field(alias="option 1")
    option_2: str = Field(alias="option 2")
    option_3: str = Field(alias="option 3")
    option_4: str = Field(alias="option 4")


class EgoSchemaAnswers(AnnotationEntry):
    numbers: dict[str, int]


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`, with the answers of `config.answers` where it has them.

    Raises:
        UserError: a file is not there, an entry is malformed, or the answers are to other questions.
    """
    path = questions_file(config, "EgoSchema's file of questions (questions.json)")
    answers: dict[str, int] = {}
    if config.answers:
        of_answers = given_file("dataset.answers", config.answers, "EgoSchema's subset_answers.json, or leave it empty")
        numbers = json_object(of_answers, "EgoSchema's file of answers")
        answers = checked(EgoSchemaAnswers, {"numbers": numbers}, str(of_answers)).numbers
    entries = list(list_entries(path, EgoSchemaEntry, "EgoSchema's file of questions"))
    strange = answers.keys() - {entry.q_uid for _, entry in entries}
    if strange:
        raise UserError(f"{config.answers}: answers {min(strange)!r}, which {path} does not ask: give files that match")
    return collect(_read_entries(entries, answers, config), config.limit)


def _read_entries(
    entries: list[tuple[str, EgoSchemaEntry]], answers: dict[str, int], config: DatasetConfig
) -> Iterator[ReadEntry]:
    videos = VideoPlaces(config.root)
    for where, entry in entries:
        options = [entry.option_0, entry.option_1, entry.option_2, entry.option_3, entry.option_4]
        question = question_of(
            config,
            question_id=f"egoschema_{entry.q_uid}",
            video_id=entry.q_uid,
            video=videos.find(where, f"{entry.q_uid}.mp4", f"videos/{entry.q_uid}.mp4"),
            question=entry.question,
            type="choice",
            options=options,
            answer=numbered(options, answers.get(entry.q_uid), where),
        )
        yield ReadEntry(where, entry.q_uid, question)


BENCHMARK = Benchmark(read=read, origin=collection("egoschema"), extra_files=("answers",))
