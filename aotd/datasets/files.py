"""Your own questions, as JSON, JSON lines, a table (CSV, TSV) or parquet.

    {"video": "kitchen/0001.mp4", "question": "What did she open?", "options": ["the door", "a jar"], "answer": "a jar"}

    video,question,options,answer
    kitchen/0001.mp4,What did she open?,the door | a jar,a jar

`video` and `question` are needed; `options`, `answer`, `id`, `type`, `split`, `start_s` and `end_s` may be
left out. In a table, options stand in one field, between ` | ` or as a JSON list. A question without an
`id` gets one from what it asks, the same in every run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions
from aotd.datasets.json_files import json_entries
from aotd.datasets.parquet_files import parquet_rows
from aotd.datasets.reader import bad_part, questions_file
from aotd.datasets.sheets import sheet_rows
from aotd.datasets.text_files import not_utf8, opened, undecodable_line
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError, meant
from aotd.records import Question

_LONGEST = 1 << 20
"""The longest line that is read, in characters."""

COLUMNS = ("video", "question", "options", "answer", "id", "type", "split", "start_s", "end_s")


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`, read and checked entry by entry whenever they are gone through.

    Raises:
        UserError: the file is not there; while they are gone through: an entry is malformed; says which and why.
    """
    wanted = "a file of questions, JSON lines (.jsonl) or CSV (.csv)"
    path = questions_file(config, wanted)
    if _ending(path) not in _READERS:
        hint = ": save the sheet as CSV in UTF-8" if path.suffix.lower() in (".xlsx", ".xls", ".ods") else ""
        raise UserError(f"dataset.questions: {path}: the name must end in {', '.join(_READERS)}{hint}")
    videos = VideoIndex(config.root)
    return LoadedQuestions(FileQuestions(path, config, videos), [], videos.notes)


@dataclass(frozen=True)
class FileQuestions(Iterable[Question]):
    """The questions of a file. The ids and the names of videos are all that is held, while it is read."""

    path: Path
    config: DatasetConfig
    videos: VideoIndex

    def __iter__(self) -> Iterator[Question]:
        path, limit = self.path, self.config.limit
        places: dict[str, str] = {}
        seen: set[str] = set()
        for where, entry in _READERS[_ending(path)](path):
            question = _question(entry, self.config.split, where)
            if question.question_id in places:
                raise UserError(
                    f"{where}: the same question as in {places[question.question_id]} "
                    f"(id {question.question_id}): delete one, or give each its own id"
                )
            places[question.question_id] = _short(where, path)
            if limit is not None:
                if question.video_id not in seen and len(seen) >= limit:
                    continue
                seen.add(question.video_id)
            yield question.model_copy(update={"video": self.videos.file(where, question.video_id)})


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _short(where: str, path: Path) -> str:
    """A place in a file, for messages that name the file already."""
    place = where.removeprefix(str(path)).lstrip(": ")
    return f"line {place}" if place.isdigit() else place


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: not JSON ({error}); one question per line") from None
        except RecursionError:
            raise UserError(f"{where}: lists within lists, too deep to be a question") from None
        yield where, _given(entry, where)


def _json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, entry in json_entries(path, "id", "a file of questions"):
        yield where, _given(entry, where)


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, entry in parquet_rows(path):
        yield where, _given(entry, where)


def _given(entry: Any, where: str) -> dict[str, Any]:
    """The fields of an entry that have a value."""
    if not isinstance(entry, dict):
        raise UserError(f'{where}: wants an object like {{"video": …, "question": …}}')
    return {name: value for name, value in entry.items() if value is not None}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, from 1; never more than one of them in memory."""
    number = 0
    try:
        with opened(path) as source:
            while line := source.readline(_LONGEST + 1):
                number += 1
                if len(line) > _LONGEST:
                    raise UserError(f"{path}:{number}: longer than {_LONGEST >> 20} MiB; one question per line")
                yield number, line
    except UnicodeError as error:
        raise UserError(f"{path}:{undecodable_line(path)}: {not_utf8(error)}: save the file in UTF-8") from None


def _table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in sheet_rows(path, COLUMNS, "a table of questions"):
        where = f"{path}:{row.line}"
        entry: dict[str, Any] = {name: text for name, text in row.fields.items() if text}
        if "options" in entry:
            entry["options"] = _options(entry["options"], where)
        for name in ("start_s", "end_s"):
            if name in entry:
                entry[name] = _number(entry[name], row.decimal_comma, f"{where}: {name}")
        yield where, entry


_READERS = {".jsonl": _jsonl, ".csv": _table, ".tsv": _table, ".json": _json, ".parquet": _parquet}


def _options(text: str, where: str) -> list[Any]:
    if not text.startswith("["):
        return [part.strip() for part in text.split("|")]
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = ': Python writes lists so; write red | blue, or ["red", "blue"]' if "'" in text else ""
        raise UserError(f"{where}: options: not a JSON list ({error}){hint}") from None
    assert isinstance(options, list)
    return options


def _number(text: str, decimal_comma: bool, where: str) -> float:
    try:
        return float(text.replace(",", ".") if decimal_comma and re.fullmatch(r"-?\d+,\d+", text) else text)
    except ValueError:
        hint = ": write 1.5, not 1,5" if "," in text else ": write 90, not 0:01:30" if ":" in text else ""
        raise UserError(f"{where}: {text!r} is not a number of seconds{hint}") from None


def _question(entry: dict[str, Any], split: str, where: str) -> Question:
    unknown = [name for name in entry if name not in COLUMNS]
    if unknown:
        known = f"known are {', '.join(COLUMNS)}{meant(unknown[0][:80], COLUMNS)}"
        raise UserError(f"{where}: unknown field {unknown[0]!r}; {known}")
    for name in ("video", "question"):
        if not entry.get(name):
            raise UserError(f"{where}: {name!r} is missing or empty")
    _check_types(entry, where)
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: holds half of a character (\\ud800 to \\udfff by itself)") from None
    if (flaw := bad_part(entry.get("start_s"), entry.get("end_s"))) is not None:
        raise UserError(f"{where}: {flaw}; end_s must lie after start_s, and start_s must not be negative")
    options = tuple(entry.get("options", ()))
    if any(not option.strip() for option in options) or len(options) == 1:
        other = next((mark for mark in ";/,\n" if len(options) == 1 and mark in options[0]), None)
        hint = f"; write | in place of {other!r} between them" if other else ""
        raise UserError(
            f"{where}: options must be two or more texts that are not empty; leave them out for an open question{hint}"
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
        letter = str(entry.get("answer", ""))
        hint = ": write the option's words" if len(letter) == 1 and letter.upper() in "ABCDEFGHIJ0123456789" else ""
        raise UserError(f"{where}: {first['msg'].removeprefix('Value error, ')}{hint}") from None


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
