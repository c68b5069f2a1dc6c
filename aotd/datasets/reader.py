"""What the readers of annotation files share: opening a file, checking its entries, and counting what they give.

Two things can be wrong with a file. An entry that is not of the benchmark's shape is a `UserError`: it is the wrong
file, or a damaged one. An entry that has the shape and asks nothing that can be answered (an option twice, an empty
question) is the benchmark's own fault: it is skipped, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.json_files import json_entries
from aotd.datasets.parquet_files import parquet_paths, parquet_rows
from aotd.datasets.sheets import sheet_rows
from aotd.errors import UserError
from aotd.records import Evidence, Question

_ANNOTATIONS = (".json.gz", ".jsonl.gz", ".txt.gz", ".json", ".jsonl", ".txt", ".parquet")
"""Endings of files whose name says what they ask."""


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
    if name and Path(name).is_dir():
        raise UserError(f"{setting}: {name} is a folder: give {wanted}")
    if not name or not Path(name).is_file():
        raise UserError(f"{setting}: {f'{name} is not there' if name else 'not set'}: give {wanted}")
    return Path(name)


def questions_file(config: DatasetConfig, wanted: str) -> Path:
    """The file that `dataset.questions` names.

    Raises:
        UserError: as `given_file`.
    """
    return given_file("dataset.questions", config.questions, wanted)


def questions_files(config: DatasetConfig, wanted: str) -> list[Path]:
    """The file that `dataset.questions` names, or the shards of parquet in a folder.

    Raises:
        UserError: as `given_file`; or a folder has shards of several splits, or lacks one.
    """
    folder = Path(config.questions)
    shards = parquet_paths(folder, config.split) if config.questions and folder.is_dir() else []
    return shards or [questions_file(config, wanted)]


def files_of_kinds(config: DatasetConfig, kinds: Mapping[str, str], wanted: str) -> dict[str, list[Path]]:
    """`dataset.questions` where a benchmark has a file for each kind of question: kind -> its file or its shards.

    It names one of the files, or the folder they are in. On the hub a kind is a folder of parquet.

    Args:
        kinds: name of a file without its ending, or of a folder, in lower case -> the kind that it asks.

    Raises:
        UserError: there is none of them, or two of one kind.
    """
    given = Path(config.questions)
    way = (given, *given.absolute().parents[:2])
    own = next((kinds[name] for part in way if (name := _name(part)) in kinds), None)
    if not (config.questions and given.is_dir()):
        path = questions_file(config, f"{wanted}, or the folder they are in")
        if own is None:
            raise UserError(f"dataset.questions: {path} is none of {wanted}: its name says what it asks")
        return {own: [path]}
    if own is not None and (shards := parquet_paths(given, config.split)):
        return {own: shards}
    found: dict[str, list[Path]] = {}
    for path in sorted(given.iterdir()):
        kind = kinds.get(_name(path))
        paths = [] if kind is None else parquet_paths(path, config.split) if path.is_dir() else [path]
        if kind is None or not paths:
            continue
        if kind in found:
            raise UserError(f"dataset.questions: {found[kind][0]} and {paths[0]} ask the same: delete one")
        found[kind] = paths
    if not found:
        raise UserError(f"dataset.questions: {given} holds none of {wanted}{_deeper(given, kinds)}")
    return {kind: found[kind] for kind in dict.fromkeys(kinds.values()) if kind in found}


def _deeper(given: Path, kinds: Mapping[str, str]) -> str:
    """Which folder was meant, where it is one of those in the folder that was given."""
    inner = (path for path in sorted(given.iterdir()) if path.is_dir())
    meant = next((path for path in inner if any(_name(file) in kinds for file in path.iterdir())), None)
    return f": did you mean {meant}?" if meant else ""


def _name(path: Path) -> str:
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in _ANNOTATIONS if name.endswith(ending)), name)


def read_rows(path: Path, what: str, key: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a JSON file, or the rows of a parquet file, each with its place for messages.

    Args:
        what: what the file should be, for messages.
        key: the field that holds an entry's id; JSON may have the entries under their ids instead.

    Raises:
        UserError: it is neither, or holds no entries.
    """
    return iter(parquet_rows(path) if path.suffix.lower() == ".parquet" else json_entries(path, key, what))


def list_entries(path: Path, model: type[EntryT], what: str, key: str = "") -> Iterator[tuple[str, EntryT]]:
    """As `read_rows`, each entry checked.

    Raises:
        UserError: as `read_rows`; or an entry is malformed.
    """
    for where, row in read_rows(path, what, key):
        yield where, checked(model, row, where)


def csv_rows(
    path: Path, needed: Sequence[str], what: str, also: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table, each with `path:line` and its fields without space around them.

    Args:
        needed: the columns that it must have.
        what: what the file should be, for messages.
        also: further columns that are read.

    Raises:
        UserError: it is no such table, or a row has too many or too few fields.
    """
    for row in sheet_rows(path, (*needed, *also), what, needed):
        yield f"{path}:{row.line}", row.fields


def checked(model: type[EntryT], row: Any, where: str) -> EntryT:
    """An entry, with its fields checked.

    Raises:
        UserError: a field is missing or of another type; names the entry, the field and what an entry has.
    """
    try:
        return model.model_validate(row)
    except ValidationError as error:
        has = ", ".join(_names(name, field) for name, field in model.model_fields.items())
        raise UserError(f"{where}: {first_fault(error)}; what is read of an entry: {has}") from None


def _names(name: str, field: FieldInfo) -> str:
    """What a field may be called in a file."""
    if isinstance(field.validation_alias, AliasChoices):
        return " or ".join(str(choice) for choice in field.validation_alias.choices)
    return field.alias or name


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
    return bad_part(start_s, end_s)


def bad_part(start_s: float | None, end_s: float | None) -> str | None:
    """What is wrong with a part of a video, whatever the video; None for nothing."""
    if (start_s or 0) < 0:
        return f"its part of the video starts at {start_s:g} s, and a video starts at 0 s"
    if end_s is not None and not (start_s or 0) < end_s:
        return f"its part of the video starts at {start_s or 0:g} s and ends at {end_s:g} s: that is no part"
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


def collect(entries: Iterable[ReadEntry], limit: int | None, notes: list[str]) -> LoadedQuestions:
    """The questions of the first `limit` videos, and a line for every entry of theirs that gives none.

    An id that comes again is skipped: benchmarks have such entries, and who reads them cannot mend them.

    Args:
        notes: what the user is told, which may come to be while entries are read.
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
    return LoadedQuestions(questions, skipped, notes)
