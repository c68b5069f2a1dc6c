"""ActivityNet-QA (Yu et al., AAAI 2019): open-ended questions about ActivityNet videos.

Questions and answers stand in two files, `test_q.json` (`dataset.questions`) and `test_a.json` (`dataset.answers`):

    {"video_name": "1QIUV7WYKXg", "question": "is the athlete wearing trousers", "question_id": "v_1QIUV7WYKXg_3"}
    {"answer": "no", "type": 3, "question_id": "v_1QIUV7WYKXg_3"}

The hub's parquet (lmms-lab/ActivityNetQA) has all of it in one row, with the type as a text, and needs no
`dataset.answers`:

    {"video_name": "1QIUV7WYKXg", "question": "is the …", "question_id": "v_1QIUV7WYKXg_3", "answer": "no", "type": "3"}

Types are numbers there; here they have the names that the README of github.com/MILVLG/activitynet-qa gives them.
The videos are ActivityNet's, `v_<video_name>.mp4` or `.mkv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, activitynet_video
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    checked,
    collect,
    given_file,
    list_entries,
    question_of,
    questions_files,
    read_rows,
)
from aotd.datasets.video_files import VideoIndex

TYPES = (
    *("Motion", "Spatial Relationship", "Temporal Relationship"),
    *("Yes/No", "Color", "Object", "Location", "Number", "Other"),
)
"""ActivityNet-QA's types in the order of their numbers."""


class ActivityNetQuestion(AnnotationEntry):
    video_name: str
    question: str
    question_id: str


class ActivityNetAnswer(AnnotationEntry):
    question_id: str
    answer: str
    type: int = Field(ge=0, lt=len(TYPES))


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions` with the answers of `config.answers`, or with those that stand beside them.

    A question that has no answer there is skipped: its type is not known either.

    Raises:
        UserError: a file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = questions_files(config, "ActivityNet-QA's file of questions (test_q.json)")
    answers: dict[str, ActivityNetAnswer] | None = None
    if config.answers or paths[0].suffix.lower() != ".parquet":
        of_answers = given_file("dataset.answers", config.answers, "ActivityNet-QA's file of answers (test_a.json)")
        entries = list_entries(of_answers, ActivityNetAnswer, "ActivityNet-QA's file of answers", "question_id")
        answers = {answer.question_id: answer for _, answer in entries}
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, answers, config, videos), config.limit, videos.notes)


def _read_entries(
    paths: Sequence[Path], answers: dict[str, ActivityNetAnswer] | None, config: DatasetConfig, videos: VideoIndex
) -> Iterator[ReadEntry]:
    what = "ActivityNet-QA's file of questions"
    for where, row in (placed for path in paths for placed in read_rows(path, what, "question_id")):
        entry = checked(ActivityNetQuestion, row, where)
        answer = checked(ActivityNetAnswer, row, where) if answers is None else answers.get(entry.question_id)
        if answer is None:
            yield ReadEntry(where, entry.video_name, f"{config.answers} has no answer to {entry.question_id!r}")
            continue
        question = question_of(
            config,
            question_id=f"activitynetqa_{entry.question_id}",
            video_id=entry.video_name,
            video=videos.stem(where, f"v_{entry.video_name}", entry.video_name),
            question=entry.question,
            type=TYPES[answer.type],
            answer=answer.answer,
        )
        yield ReadEntry(where, entry.video_name, question)


BENCHMARK = Benchmark(read=read, origin=activitynet_video, extra_files=("answers",))
