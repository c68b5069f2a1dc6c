"""Your own questions, as JSON lines or CSV.

    {"video": "kitchen/0001.mp4", "question": "What did she open?", "options": ["the door", "a jar"], "answer": "a jar"}

    video,question,options,answer
    kitchen/0001.mp4,What did she open?,the door | a jar,a jar

`video` and `question` are needed; `options`, `answer`, `id`, `type`, `split`, `start_s` and `end_s` may be
left out. In CSV, options stand in one field, between ` | ` or as a JSON list. A question without an
`id` gets one from what it asks, the same in every run.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions
from aotd.datasets.reader import questions_file
from aotd.errors import UserError
from aotd.records import Question

_LONGEST = 1 << 20
"""The longest line that is read, in bytes."""

COLUMNS = ("video", "question", "options", "answer", "id", "type", "split", "start_s", "end_s")


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`, read and checked line by line whenever they are gone through.

    Raises:
        UserError: the file is not there; while they are gone through: a line is malformed; says which and why.
    """
    wanted = "a file of questions, JSON lines (.jsonl) or CSV (.csv)"
    path = questions_file(config, wanted)
    if path.suffix.lower() not in _READERS:
        raise UserError(f"dataset.questions: {path}: the name must end in .jsonl (JSON lines) or .csv")
    return LoadedQuestions(FileQuestions(path, config), [])


@dataclass(frozen=True)
class FileQuestions(Iterable[Question]):
    """The questions of a file. The ids are all that is held, while it is read."""

    path: Path
    config: DatasetConfig

    def __iter__(self) -> Iterator[Question]:
        path, limit = self.path, self.config.limit
        lines: dict[str, int] = {}
        videos: set[str] = set()
        for number, entry in _READERS[path.suffix.lower()](path):
            question = _question(entry, self.config.split, f"{path}:{number}")
            if question.question_id in lines:
                raise UserError(
                    f"{path}:{number}: the same question as in line {lines[question.question_id]} "
                    f"(id {question.question_id}): delete one, or give each its own id"
                )
            lines[question.question_id] = number
            if limit is not None:
                if question.video_id not in videos and len(videos) >= limit:
                    continue
                videos.add(question.video_id)
            yield question


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            entry = json.loads(line.decode("utf-8-sig"))
        except ValueError as error:
            raise UserError(f"{path}:{number}: not JSON ({error}); one question per line") from None
        except RecursionError:
            raise UserError(f"{path}:{number}: lists within lists, too deep to be a question") from None
        if not isinstance(entry, dict):
            raise UserError(f'{path}:{number}: wants an object like {{"video": …, "question": …}}')
        yield number, {name: value for name, value in entry.items() if value is not None}


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, from 1; never more than one of them in memory."""
    with path.open("rb") as source:
        number = 0
        while line := source.readline(_LONGEST + 1):
            number += 1
            if len(line) > _LONGEST:
                raise UserError(f"{path}:{number}: longer than {_LONGEST >> 20} MiB; one question per line")
            yield number, line


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as source:
        table = csv.DictReader(source, strict=True)
        try:
            for row in table:
                if None in row or None in row.values():
                    raise UserError(
                        f"{path}:{table.line_num}: has not as many fields as the first line has columns; "
                        "a comma inside a field needs quotes around the field"
                    )
                entry: dict[str, Any] = {name: text.strip() for name, text in row.items() if text.strip()}
                if "options" in entry:
                    entry["options"] = _options(entry["options"], f"{path}:{table.line_num}")
                for name in ("start_s", "end_s"):
                    if name in entry:
                        entry[name] = _number(entry[name], f"{path}:{table.line_num}: {name}")
                yield table.line_num, entry
        except csv.Error as error:
            raise UserError(f"{path}:{table.reader.line_num}: not CSV ({error})") from None
        except UnicodeDecodeError:
            raise UserError(f"{path}:{_undecodable(path)}: not in UTF-8: save the file as CSV in UTF-8") from None


_READERS = {".jsonl": _jsonl, ".csv": _csv}


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8; the decoder reads ahead and cannot tell."""
    for number, line in _lines(path):
        try:
            line.decode()
        except UnicodeDecodeError:
            return number
    raise AssertionError("every line is UTF-8")


def _options(text: str, where: str) -> list[Any]:
    if not text.startswith("["):
        return [part.strip() for part in text.split("|")]
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: options: not a JSON list ({error})") from None
    assert isinstance(options, list)
    return options


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{where}: {text!r} is not a number of seconds") from None


def _question(entry: dict[str, Any], split: str, where: str) -> Question:
    unknown = [name for name in entry if name not in COLUMNS]
    if unknown:
        raise UserError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(COLUMNS)}")
    for name in ("video", "question"):
        if not entry.get(name):
            raise UserError(f"{where}: {name!r} is missing or empty")
    _check_types(entry, where)
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: holds half of a character (\\ud800 to \\udfff by itself)") from None
    part = (entry.get("start_s"), entry.get("end_s"))
    if (part[0] or 0) < 0 or (part[1] is not None and part[1] <= (part[0] or 0)):
        raise UserError(f"{where}: end_s must lie after start_s, and start_s must not be negative")
    options = tuple(entry.get("options", ()))
    if any(not option.strip() for option in options) or len(options) == 1:
        raise UserError(
            f"{where}: options must be two or more texts that are not empty; leave them out for an open question"
        )
    try:
        return Question(
            question_id=entry.get("id") or _stable_id(entry),
            dataset="files",
            split=entry.get("split", split),
            video_id=entry["video"],
            video=entry["video"],
            start_s=entry.get("start_s"),
            end_s=entry.get("end_s"),
            question=entry["question"],
            type=entry.get("type") or ("choice" if options else "open"),
            options=options,
            answer=entry.get("answer"),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _check_types(entry: dict[str, Any], where: str) -> None:
    for name, value in entry.items():
        if name == "options":
            if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
                raise UserError(f"{where}: options must be a list of texts")
        elif name in ("start_s", "end_s"):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{where}: {name} must be a number of seconds")
        elif not isinstance(value, str):
            raise UserError(f"{where}: {name} must be text, in quotes")


def _stable_id(entry: dict[str, Any]) -> str:
    parts = [entry.get(name) for name in ("video", "question", "options", "start_s", "end_s")]
    return "q" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


BENCHMARK = Benchmark(read=read, origin=None)
