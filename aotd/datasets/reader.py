"""What the readers of annotation files share: opening a file, checking its entries, and counting what they give.

Two things can be wrong with a file. An entry that is not of the benchmark's shape is a `UserError`: it is the wrong
file, or a damaged one. An entry that has the shape and asks nothing that can be answered (an option twice, an empty
question) is the benchmark's own fault: it is skipped, and named.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aotd.datasets.base import DatasetConfig, LoadedQuestions, locate
from aotd.errors import UserError
from aotd.records import Evidence, Question

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class AnnotationEntry(BaseModel):
    """Base of what stands in a file: the real files hold more than we read, and numbers where texts are meant."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, allow_inf_nan=False)


EntryT = TypeVar("EntryT", bound=AnnotationEntry)


class ReadEntry(NamedTuple):
    """What one entry gives."""

    where: str
    """File and entry, for messages."""
    video_id: str
    question: Question | str
    """The question, or why there is none."""


def given_file(setting: str, name: str, wanted: str) -> Path:
    """The file that a setting names.

    Raises:
        UserError: it is not set, or there is no such file; asks for what is `wanted`.
    """
    if not name or not Path(name).is_file():
        raise UserError(f"{setting}: {f'{name} is not there' if name else 'not set'}: give {wanted}")
    return Path(name)


def questions_file(config: DatasetConfig, wanted: str) -> Path:
    """The file that `dataset.questions` names.

    Raises:
        UserError: as `given_file`.
    """
    return given_file("dataset.questions", config.questions, wanted)


def given_files(config: DatasetConfig, names: Sequence[str], wanted: str) -> list[Path]:
    """`dataset.questions` where a benchmark has several files: one of them, or the folder they are in.

    Raises:
        UserError: there is none of `names`, or the file is not one of them.
    """
    folder = Path(config.questions)
    if config.questions and folder.is_dir():
        present = [folder / name for name in names if (folder / name).is_file()]
        if not present:
            raise UserError(f"dataset.questions: {folder} holds none of {wanted}")
        return present
    path = questions_file(config, f"{wanted}, or the folder they are in")
    if path.name not in names:
        raise UserError(f"dataset.questions: {path} is none of {wanted}: its name says what it asks")
    return [path]


def read_json(path: Path) -> Any:
    """What a JSON file holds; half a character, which JSON can hold and no file of a run, is a question mark.

    Raises:
        UserError: it is not JSON in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        value = json.loads(text)
        return (
            json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace")) if _HALF.search(text) else value
        )
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({str(error).splitlines()[0]}); fetch it anew") from None


def json_list(path: Path, what: str) -> list[Any]:
    """The list in a JSON file.

    Raises:
        UserError: it is not JSON, or no list; says what was expected.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UserError(f"{path}: {what} is a list, this is a {type(rows).__name__}")
    return rows


def json_object(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: it is not JSON, or no object; says what was expected.
    """
    rows = read_json(path)
    if not isinstance(rows, dict):
        raise UserError(f"{path}: {what} is one JSON object, this is a {type(rows).__name__}")
    return rows


def list_entries(path: Path, model: type[EntryT], what: str) -> Iterator[tuple[str, EntryT]]:
    """The entries of the list in a JSON file, each checked, with its place for messages.

    Raises:
        UserError: it is not JSON, or no list; or an entry is malformed.
    """
    for number, row in enumerate(json_list(path, what), start=1):
        where = f"{path}: entry {number}"
        yield where, checked(model, row, where)


def csv_rows(path: Path, needed: Sequence[str], what: str) -> list[tuple[str, dict[str, str]]]:
    """The rows of a CSV, each with `path:line` and its fields without space around them.

    Raises:
        UserError: it is not CSV in UTF-8, lacks a column of `needed`, or a row has too many or too few fields.
    """
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            table = csv.DictReader(source, strict=True)
            missing = [name for name in needed if name not in (table.fieldnames or ())]
            if missing:
                raise UserError(f"{path}:1: not {what}: there is no column {missing[0]!r}")
            for row in table:
                where = f"{path}:{table.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{where}: has not as many fields as the first line has columns")
                rows.append((where, {name: text.strip() for name, text in row.items()}))
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    return rows


def checked(model: type[EntryT], row: Any, where: str) -> EntryT:
    """An entry, with its fields checked.

    Raises:
        UserError: a field is missing or of another type; names the entry, the field and what an entry has.
    """
    try:
        return model.model_validate(row)
    except ValidationError as error:
        has = ", ".join(field.alias or name for name, field in model.model_fields.items())
        raise UserError(f"{where}: {first_fault(error)}; what is read of an entry: {has}") from None


def first_fault(error: ValidationError) -> str:
    """The first thing pydantic found, in one line: the field and what is wrong with it."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "entry"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"


def question_of(
    config: DatasetConfig,
    *,
    question_id: str,
    video_id: str,
    video: str,
    question: str,
    type: str,
    options: Sequence[str] = (),
    answer: str | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    evidence: Evidence | None = None,
) -> Question | str:
    """The question of an entry, or why it gives none. Texts lose the space around them."""
    text, choices = question.strip(), tuple(option.strip() for option in options)
    true = None if answer is None else answer.strip()
    flaw = _flaw(text, choices, true, start_s, end_s)
    if flaw is not None:
        return flaw
    return Question(
        question_id=question_id,
        dataset=config.name,
        split=config.split,
        video_id=video_id,
        video=video,
        start_s=start_s,
        end_s=end_s,
        question=text,
        type=type,
        options=choices,
        answer=true,
        evidence=evidence,
    )


def _flaw(
    question: str, options: tuple[str, ...], answer: str | None, start_s: float | None, end_s: float | None
) -> str | None:
    if not question:
        return "the question is empty"
    if answer == "":
        return "the answer is empty"
    if "" in options:
        return "an option is empty"
    twice = next((option for option in options if options.count(option) > 1), None)
    if twice is not None:
        return f"the option {twice!r} is there twice"  # which of the two was meant cannot be known
    if options and not 2 <= len(options) <= 26:
        return f"there are {len(options)} options, and 2 to 26 can be read"
    if options and answer is not None and answer not in options:
        return f"the answer {answer!r} is none of the options"
    if (start_s or 0) < 0 or (end_s is not None and not (start_s or 0) < end_s):
        return f"its part of the video, {start_s} s to {end_s} s, is none"
    return None


def numbered(options: Sequence[str], number: int | None, where: str) -> str | None:
    """The option with a number, counted from 0; None for None.

    Raises:
        UserError: there is no such option.
    """
    if number is None:
        return None
    if not 0 <= number < len(options):
        raise UserError(f"{where}: the answer is option {number}, and the options are 0 to {len(options) - 1}")
    return options[number]


def collect(entries: Iterable[ReadEntry], limit: int | None) -> LoadedQuestions:
    """The questions of the first `limit` videos, and a line for every entry of theirs that gives none.

    An id that comes again is skipped: benchmarks have such entries, and who reads them cannot mend them.
    """
    questions: list[Question] = []
    skipped: list[str] = []
    places: dict[str, str] = {}
    videos: set[str] = set()
    for where, video_id, question in entries:
        if limit is not None and video_id not in videos and len(videos) >= limit:
            continue
        videos.add(video_id)
        if isinstance(question, str):
            skipped.append(f"{where}: {question}")
        elif question.question_id in places:
            skipped.append(f"{where}: the id {question.question_id!r} stands at {places[question.question_id]} too")
        else:
            places[question.question_id] = where
            questions.append(question)
    return LoadedQuestions(questions, skipped)


class VideoPlaces:
    """Where a benchmark's videos lie below the root. Each is looked for once, however many questions it has."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found: dict[tuple[str, ...], str] = {}

    def find(self, where: str, *names: str) -> str:
        """The first of the names that is a file below the root; where none is, the first, to be named as missing.

        Raises:
            UserError: a name leads outside the root.
        """
        if names not in self._found:
            try:
                present = [name for name in names if locate(self._root, name).is_file()]
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            self._found[names] = present[0] if present else names[0]
        return self._found[names]
