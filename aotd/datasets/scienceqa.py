"""ScienceQA (Lu et al., NeurIPS 2022): multiple-choice questions about pictures, from school.

`problems.json` (`dataset.questions`) holds entries of all splits under their ids:

    "4": {"question": "Which figure of speech is used?", "choices": ["chiasmus", "apostrophe"], "answer": 1,
          "hint": "", "image": "image.png", "grade": "grade11", "subject": "language science", "split": "train", …}

The picture is `<split>/<id>/image.png`, a video of one frame. An entry without one is skipped: a student is always
shown something. The type is made of the classes that the authors report: subject, whether there is a text beside the
picture, and grade.

Source: github.com/lupantech/ScienceQA, README.md, tools/download.sh and tools/evaluate_acc.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    collect,
    list_entries,
    numbered,
    question_of,
    questions_file,
)
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_GRADE = re.compile(r"grade(\d{1,2})")


class ScienceQuestion(AnnotationEntry):
    id: str
    question: str
    choices: list[str]
    answer: int
    hint: str = ""
    image: str | None = None
    grade: str = Field(pattern=_GRADE)
    subject: str
    split: str


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.split` that have a picture.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    path = questions_file(config, "ScienceQA's problems.json")
    videos = VideoIndex(config.root)
    return collect(_read_entries(path, config, videos), config.limit, videos.notes)


def _read_entries(path: Path, config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    for where, entry in list_entries(path, ScienceQuestion, "ScienceQA's file of questions", "id"):
        if entry.split != config.split:
            continue
        video_id = f"{entry.split}/{entry.id}"
        if not entry.image:
            yield ReadEntry(where, video_id, "it has no picture")
            continue
        hint = entry.hint.strip()
        question = question_of(
            config,
            question_id=f"scienceqa_{entry.id}",
            video_id=video_id,
            video=videos.file(where, f"{video_id}/{entry.image}"),
            question=f"{entry.question.strip()} Context: {hint}" if hint else entry.question,
            type=_classes(entry, where),
            options=entry.choices,
            answer=numbered(entry.choices, entry.answer, where),
        )
        yield ReadEntry(where, video_id, question)


def _classes(entry: ScienceQuestion, where: str) -> str:
    if entry.subject not in SUBJECTS:
        raise UserError(f"{where}: subject {entry.subject!r} is none of {', '.join(SUBJECTS)}")
    grade = int(entry.grade.removeprefix("grade"))
    text = ["TXT"] if entry.hint.strip() else []
    return " ".join([SUBJECTS[entry.subject], *text, "G1-6" if grade <= 6 else "G7-12"])


def _groups(kind: str) -> Sequence[str]:
    return kind.split()


BENCHMARK = Benchmark(read=read, origin=collection("scienceqa"), groups=_groups)
