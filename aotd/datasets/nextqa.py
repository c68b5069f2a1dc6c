"""NExT-QA's multiple-choice questions, with NExT-GQA's true spans where they are given.

Both files as their authors publish them:

    dataset.questions   CSV: video or video_id, question, answer, qid, type, a0 … a4 (more is not read)
    dataset.spans       JSON: {video: {"duration": s, "location": {qid: [[start_s, end_s], …]}}}

NExT-QA's own CSV names the column `video` and gives the answer by its number; NExT-GQA's names it
`video_id` and gives the answer's words. Questions come in lower case and without a question mark. Types
are CW and CH (causal: why, how), TN, TC and TP (temporal: after, at the same time, before), DC, DL and DO
(descriptive: how many, where, other).
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from aotd.datasets.base import DatasetConfig, Loaded
from aotd.errors import UserError
from aotd.records import Evidence, EvidenceSpan, Question

TYPES = ("CH", "CW", "TN", "TC", "TP", "DC", "DL", "DO")
_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
_NEEDED = ("question", "answer", "qid", "type", *_OPTIONS)


def read(config: DatasetConfig) -> Loaded:
    """The questions of `config.questions`; each names the video `<video>.mp4` below `config.root`.

    A question that gives one text twice as an option is skipped: which of the two was meant cannot be known.

    Raises:
        UserError: a file is not there, or a line of it is malformed.
    """
    path = Path(config.questions)
    if not config.questions or not path.is_file():
        wrong = f"{config.questions} is not there" if config.questions else "not set"
        raise UserError(f"dataset.questions: {wrong}: give the path of NExT-QA's CSV (val.csv)")
    spans = _read_spans(config.spans) if config.spans else {}
    questions: list[Question] = []
    skipped: list[str] = []
    videos: set[str] = set()
    for number, row in _rows(path):
        video = row["video_id"] if "video_id" in row else row["video"]
        if config.limit is not None and video not in videos and len(videos) >= config.limit:
            continue
        videos.add(video)
        options = tuple(row[name] for name in _OPTIONS)
        if len(set(options)) < len(options):
            twice = next(option for option in options if options.count(option) > 1)
            skipped.append(f"{path.name}:{number}: the option {twice!r} is there twice")
            continue
        questions.append(
            Question(
                question_id=f"{video}_{row['qid']}",
                dataset="nextqa",
                split=config.split,
                video_id=video,
                video=f"{video}.mp4",
                question=row["question"],
                type=row["type"],
                options=options,
                answer=_answer(row, options, f"{path}:{number}"),
                evidence=spans.get((video, row["qid"])),
            )
        )
    return Loaded(questions, skipped)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The lines of the CSV with their numbers, each with every column that is needed."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            table = csv.DictReader(source, strict=True)
            columns = table.fieldnames or []
            missing = [name for name in _NEEDED if name not in columns]
            if missing or not {"video", "video_id"} & set(columns):
                raise UserError(
                    f"{path}:1: not NExT-QA's CSV of multiple-choice questions: there is no column "
                    f"{missing[0] if missing else 'video or video_id'!r}"
                )
            rows = [(table.line_num, row) for row in table]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    for number, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{path}:{number}: has not as many fields as the first line has columns")
        if row["type"] not in TYPES:
            raise UserError(f"{path}:{number}: type {row['type']!r} is not one of {', '.join(TYPES)}")
    return [(number, {name: text.strip() for name, text in row.items()}) for number, row in rows]


def _answer(row: dict[str, str], options: tuple[str, ...], where: str) -> str:
    given = row["answer"]
    if "video_id" in row:
        if given not in options:
            raise UserError(f"{where}: the answer {given!r} is none of the options a0 … a4")
        return given
    if given not in ("0", "1", "2", "3", "4"):
        raise UserError(f"{where}: the answer must be the number of an option, 0 to 4, not {given!r}")
    return options[int(given)]


def _read_spans(name: str) -> dict[tuple[str, str], Evidence]:
    path = Path(name)
    if not path.is_file():
        raise UserError(f"dataset.spans: {name} is not there: give NExT-GQA's file (gsub_val.json), or leave it empty")
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from None
    found = {}
    try:
        for video, entry in videos.items():
            for qid, spans in entry["location"].items():
                found[video, str(qid)] = Evidence(spans=tuple(_span(span) for span in spans))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: not NExT-GQA's spans: wants {{video: {{location: {{qid: [[start_s, end_s], …]}}}}}}, "
            "with each start before its end"
        ) from None
    return found


def _span(span: Any) -> EvidenceSpan:
    start_s, end_s = (float(value) for value in span)
    if not 0 <= start_s < end_s or not math.isfinite(end_s):
        raise ValueError("a span that ends before it starts")
    return EvidenceSpan(start_s=start_s, end_s=end_s)
