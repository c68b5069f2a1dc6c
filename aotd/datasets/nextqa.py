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

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aotd.datasets.base import DatasetConfig, Loaded
from aotd.datasets.reader import Found, Videos, collect, csv_rows, given_file, question_of, read_json
from aotd.errors import UserError
from aotd.records import Evidence, EvidenceSpan

TYPES = ("CH", "CW", "TN", "TC", "TP", "DC", "DL", "DO")
_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
_NEEDED = ("question", "answer", "qid", "type", *_OPTIONS)


def read(config: DatasetConfig) -> Loaded:
    """The questions of `config.questions`; each names the video `<video>.mp4` below `config.root`.

    Raises:
        UserError: a file is not there, or a line of it is malformed.
    """
    path = given_file("dataset.questions", config.questions, "the path of NExT-QA's CSV (val.csv)")
    return collect(_found(path, config), config.limit)


def _found(path: Path, config: DatasetConfig) -> Iterator[Found]:
    videos = Videos(config.root)
    spans = _read_spans(config.spans) if config.spans else {}
    for where, row in csv_rows(path, _NEEDED, "NExT-QA's CSV of multiple-choice questions"):
        if not {"video", "video_id"} & row.keys():
            raise UserError(f"{path}:1: not NExT-QA's CSV: there is no column 'video' or 'video_id'")
        if row["type"] not in TYPES:
            raise UserError(f"{where}: type {row['type']!r} is not one of {', '.join(TYPES)}")
        video = row["video_id"] if "video_id" in row else row["video"]
        options = tuple(row[name] for name in _OPTIONS)
        question = question_of(
            config,
            question_id=f"{video}_{row['qid']}",
            video_id=video,
            video=videos.find(where, f"{video}.mp4"),
            question=row["question"],
            type=row["type"],
            options=options,
            answer=_answer(row, options, where),
            evidence=spans.get((video, row["qid"])),
        )
        yield Found(where, video, question)


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
    path = given_file("dataset.spans", name, "NExT-GQA's file (gsub_val.json), or leave it empty")
    videos = read_json(path)
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
