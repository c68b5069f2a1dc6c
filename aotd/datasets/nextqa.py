"""NExT-QA's multiple-choice questions, with NExT-GQA's true spans where they are given.

Both files as their authors publish them:

    dataset.questions   CSV, or the hub's parquet (lmms-lab/NExTQA, folder MC)
    dataset.spans       JSON: {video: {"duration": s, "location": {qid: [[start_s, end_s], …]}}}

Two rows, of NExT-QA's own CSV (github.com/doc-doc/NExT-QA, dataset/nextqa/val.csv) and of NExT-GQA's
(github.com/doc-doc/NExT-GQA, datasets/nextqa/val.csv); the hub's parquet has the columns of the first, with numbers
as numbers:

    video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
    4010069381,369,640,480,how do the two man play,0,6,CH,roll the handle,tap their feet,strum,hit,pat

    video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
    4010069381,369,640,480,how do the two man play,roll the handle,6,CH,roll the handle,tap their feet,strum,hit,pat

NExT-QA gives the answer by its number, NExT-GQA gives its words. Questions come in lower case and without a question
mark. Types are CW and CH (causal: why, how), TN, TC and TP (temporal: after, at the same time, before), DC, DL and DO
(descriptive: how many, where, other). Videos unpack as VidOR's (`0101/2909445186.mp4`), which needs no map file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.json_files import read_json
from aotd.datasets.reader import (
    ReadEntry,
    collect,
    csv_rows,
    given_file,
    question_of,
    questions_files,
    read_rows,
)
from aotd.datasets.video_files import VideoIndex
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
_TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_VIDEO = ("video", "video_id")
"""The names of the column of videos, NExT-QA's and NExT-GQA's."""


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`; each names a video below `config.root`.

    Raises:
        UserError: a file is not there, or a line of it is malformed.
    """
    paths = questions_files(config, "the path of NExT-QA's CSV (val.csv)")
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, videos), config.limit, videos.notes)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    spans = _read_spans(config.spans) if config.spans else {}
    for where, row in table_rows(paths, _NEEDED, "NExT-QA's table of multiple-choice questions"):
        if row["type"] not in TYPES:
            raise UserError(f"{where}: type {row['type']!r} is not one of {', '.join(TYPES)}")
        video = row["video_id"] if "video_id" in row else row["video"]
        options = tuple(row[name] for name in _OPTIONS)
        question = question_of(
            config,
            question_id=f"{video}_{row['qid']}",
            video_id=video,
            video=videos.stem(where, video),
            question=row["question"],
            type=row["type"],
            options=options,
            answer=_answer(row, options, where),
            evidence=spans.get((video, row["qid"])),
        )
        yield ReadEntry(where, video, question)


def table_rows(paths: Sequence[Path], needed: Sequence[str], what: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of NExT-QA's tables, CSV, parquet or JSON of the same, as texts.

    Raises:
        UserError: a table is none of NExT-QA's; or a number is not as it was.
    """
    for path in paths:
        for where, row in _rows(path, needed, what):
            texts = {name: "" if value is None else str(value).strip() for name, value in row.items()}
            lacking = next((name for name in needed if name not in texts), None)
            if lacking or not texts.keys() & set(_VIDEO):
                raise UserError(
                    f"{heading_of(path)}: not {what}: there is no column {lacking or 'video (or video_id)'!r}"
                )
            for name in {*_VIDEO, "qid", "answer"} & texts.keys():
                texts[name] = _number_of_spreadsheet(texts[name], name, where)
            yield where, texts


def _rows(path: Path, needed: Sequence[str], what: str) -> Iterator[tuple[str, Any]]:
    if path.name.lower().endswith(_TABLES):
        yield from csv_rows(path, needed, what, _VIDEO)
        return
    for where, row in read_rows(path, what):
        if not isinstance(row, dict):
            raise UserError(f"{where}: wants an object with the columns of {what}")
        yield where, row


def heading_of(path: Path) -> str:
    """Where the names of a table's columns stand, for messages."""
    return f"{path}:1" if path.name.lower().endswith(_TABLES) else str(path)


def _number_of_spreadsheet(text: str, name: str, where: str) -> str:
    """A number as it was before pandas made it a fraction.

    Raises:
        UserError: a spreadsheet has left out digits.
    """
    if name in _VIDEO and re.fullmatch(r"\d[.,]?\d*E\+\d+", text, re.IGNORECASE):
        raise UserError(f"{where}: a spreadsheet has rounded the video's id to {text!r}: use the authors' own file")
    return text.removesuffix(".0") if re.fullmatch(r"\d+\.0", text) else text


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
