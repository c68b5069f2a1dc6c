"""Video-MME (Fu et al., CVPR 2025): multiple-choice questions about short, medium and long web videos.

The hub's parquet (lmms-lab/Video-MME, extra `export`) has a row for each question, with the columns `video_id`,
`duration`, `domain`, `sub_category`, `url`, `videoID`, `question_id`, `task_type`, `question`, `options` (a list) and
`answer` (a letter). JSON may hold the same rows, or videos with their questions, as the authors' template for results
does (github.com/MME-Benchmarks/Video-MME, evaluation/output_test_template.json). A question there ends in a comma:

    [{"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "…", "questions": [
        {"question_id": "001-1", "task_type": "Counting Problem", "question": "How many …?",
         "options": ["A. 1.", "B. 4.", "C. 2.", "D. 3."], "answer": "D", "response": "D. 3.",}]},]

Options lose their letters, and the answer becomes the option that its letter means. `videoID` is the video's name;
where it is not given, `video_id` is. Subtitles are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    checked,
    collect,
    numbered,
    question_of,
    questions_files,
    read_rows,
)
from aotd.datasets.video_files import VideoIndex
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
    """The questions of `config.questions`: parquet, a folder of it, or JSON.

    Raises:
        UserError: the file is not there or pyarrow is missing, or an entry is malformed; says which and what is wrong.
    """
    paths = questions_files(config, "Video-MME's parquet file, or JSON of the same")
    for path in paths:
        if not path.name.lower().endswith((".parquet", ".json", ".jsonl", ".json.gz", ".jsonl.gz")):
            raise UserError(f"dataset.questions: {path}: the name must end in .parquet or .json")
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, videos), config.limit, videos.notes)


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    for where, row in read_rows(path, "Video-MME's file", "question_id"):
        if not (isinstance(row, dict) and isinstance(row.get("questions"), list)):
            yield where, row
            continue
        for place, entry in enumerate(row["questions"], start=1):
            given = {"video_id": row.get("question_id"), **row}  # in an object, a video's id is its key
            yield f"{where}, question {place}", {**given, **entry} if isinstance(entry, dict) else entry


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    field = config.type_by or TYPE_FIELDS[0]
    for where, row in (placed for path in paths for placed in _rows(path)):
        entry = checked(VideoMMEEntry, row, where)
        name = entry.youtube_id or entry.video_id
        options = [_bare(option) for option in entry.options]
        question = question_of(
            config,
            question_id=f"videomme_{entry.question_id}",
            video_id=name,
            video=videos.stem(where, name, folders=("", "data")),
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
