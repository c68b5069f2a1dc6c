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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    ReadEntry,
    VideoPlaces,
    collect,
    csv_rows,
    given_file,
    question_of,
    questions_file,
    read_json,
)
from aotd.errors import UserError
from aotd.records import Evidence, EvidenceSpan

TYPES = ("CH", "CW", "TN", "TC", "TP", "DC", "DL", "DO")
_GROUPS = {
    "CW": ("causal",),
    "CH": ("causal",),
    "TN": ("temporal", "before or after"),
    "TP": ("temporal", "before or after"),
    "TC": ("temporal",),
    "DC": ("descriptive",),
    "DL": ("descriptive",),
    "DO": ("descriptive",),
}
"""Type -> the groups in which NExT-QA's `eval_mc.py` reports (Xiao et al., CVPR 2021)."""
_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
_NEEDED = ("question", "answer", "qid", "type", *_OPTIONS)


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`; each names the video `<video>.mp4` below `config.root`.

    Raises:
        UserError: a file is not there, or a line of it is malformed.
    """
    path = questions_file(config, "the path of NExT-QA's CSV (val.csv)")
    return collect(_read_entries(path, config), config.limit)


def _read_entries(path: Path, config: DatasetConfig) -> Iterator[ReadEntry]:
    videos = VideoPlaces(config.root)
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
        yield ReadEntry(where, video, question)


def groups(kind: str) -> Sequence[str]:
    """The groups of a type; none for a type that `eval_mc.py` does not know."""
    return _GROUPS.get(kind, ())


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
    evidence = {}
    try:
        for video, entry in videos.items():
            for qid, spans in entry["location"].items():
                evidence[video, str(qid)] = Evidence(spans=tuple(_span(span) for span in spans))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: not NExT-GQA's spans: wants {{video: {{location: {{qid: [[start_s, end_s], …]}}}}}}, "
            "with each start before its end"
        ) from None
    return evidence


def _span(span: Any) -> EvidenceSpan:
    start_s, end_s = (float(value) for value in span)
    if not 0 <= start_s < end_s or not math.isfinite(end_s):
        raise ValueError("a span that ends before it starts")
    return EvidenceSpan(start_s=start_s, end_s=end_s)


BENCHMARK = Benchmark(read=read, origin=collection("vidor"), extra_files=("spans",), groups=groups)
