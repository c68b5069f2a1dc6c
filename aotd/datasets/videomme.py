"""Video-MME (Fu et al., CVPR 2025): multiple-choice questions about short, medium and long web videos.

The dataset's parquet file (extra `export`) has a row for each question, with the columns `videoID`, `question_id`,
`duration`, `domain`, `sub_category`, `task_type`, `question`, `options` and `answer`. A JSON file may hold the same
rows as a list, or the shape of the authors' `output_test_template.json`, videos with their questions (shortened):

    {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "…", "questions": [
        {"question_id": "001-1", "task_type": "Counting Problem", "question": "How many …?",
         "options": ["A. 1.", "B. 4.", "C. 2.", "D. 3."], "answer": "D"}]}

Options lose their letters, and the answer becomes the option that its letter means. `videoID` is the video's name;
where it is not given, `video_id` is. Subtitles are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    VideoPlaces,
    checked,
    collect,
    json_list,
    numbered,
    question_of,
    questions_file,
)
from aotd.errors import UserError

LETTERS = "ABCD"
TYPE_FIELDS = ("task_type", "duration", "domain", "sub_category")


class VideoMMEEntry(AnnotationEntry):
    video_id: str
    youtube_id: str | None = Field(default=None, alias="videoID")
    question_id: str
    duration: str
    domain: str
    sub_category: str
    task_type: str
    question: str
    options: list[str]
    answer: Literal["A", "B", "C", "D"] | None = None


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`, whose name ends in `.parquet` or `.json`.

    Raises:
        UserError: the file is not there or pyarrow is missing, or an entry is malformed; says which and what is wrong.
    """
    path = questions_file(config, "Video-MME's parquet file, or JSON of the same")
    readers = {".parquet": _parquet, ".json": _json}
    if path.suffix not in readers:
        raise UserError(f"dataset.questions: {path}: the name must end in .parquet or .json")
    return collect(_read_entries(readers[path.suffix](path), config), config.limit)


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow
        from pyarrow.parquet import read_table
    except ImportError:
        raise UserError(f"{path}: to read parquet takes pyarrow: pip install 'aotd[export]'") from None
    try:
        rows = read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a parquet file ({str(error).splitlines()[0]}); fetch it anew") from None
    for number, row in enumerate(rows, start=1):
        yield f"{path}: row {number}", row


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(json_list(path, "Video-MME's file"), start=1):
        where = f"{path}: entry {number}"
        if not (isinstance(row, dict) and isinstance(row.get("questions"), list)):
            yield where, row
            continue
        for place, entry in enumerate(row["questions"], start=1):
            yield f"{where}, question {place}", {**row, **entry} if isinstance(entry, dict) else entry


def _read_entries(rows: Iterator[tuple[str, Any]], config: DatasetConfig) -> Iterator[ReadEntry]:
    videos = VideoPlaces(config.root)
    field = config.type_by or TYPE_FIELDS[0]
    for where, row in rows:
        entry = checked(VideoMMEEntry, row, where)
        name = entry.youtube_id or entry.video_id
        options = [_bare(option) for option in entry.options]
        question = question_of(
            config,
            question_id=f"videomme_{entry.question_id}",
            video_id=name,
            video=videos.find(where, f"{name}.mp4", f"data/{name}.mp4"),
            question=entry.question,
            type=str(getattr(entry, field)),
            options=options,
            answer=None if entry.answer is None else numbered(options, LETTERS.index(entry.answer), where),
        )
        yield ReadEntry(where, name, question)


def _bare(option: str) -> str:
    """An option without the letter before it."""
    return re.sub(r"^\s*[A-Z]\.\s", "", option)


BENCHMARK = Benchmark(read=read, origin=collection("videomme"), type_fields=TYPE_FIELDS)
