"""Runs on disk: one folder per verb, JSON lines in it, and a manifest that says how they were made.

    runs/demo/decompose/manifest.json      settings, inputs, prompts, models, code version
    runs/demo/decompose/records.jsonl      one Program per question that has one
    runs/demo/decompose/records.index      where each line begins (`aotd.store.index`)
    runs/demo/decompose/dropped.jsonl      one Dropped per question that has none, with the reason
    runs/demo/decompose/costs.jsonl        what each question took, where that is measured

Lines are appended and flushed one by one. A process that is killed in mid-line leaves a torn tail, which is cut off
when the folder is opened again. Questions that already have a line are skipped. So a run that was killed at any
instant and started again ends with the same bytes as one that was not killed.

Every file is in the order of `load`. A reader of several files reads them side by side and holds none of them; a
writer holds the ids of the questions that have a line.

A kill loses nothing that was written. A power cut also loses what is not on the disk yet. Lines are synced `SYNC_S`
after they were written at the latest, and when a stage is closed; whole files are synced before they get their name.

Costs differ from run to run. A question's cost is written before its line, so a kill between the two leaves a cost of
work that is done again. The last cost of a question counts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from array import array
from collections.abc import Callable, Collection, Container, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from aotd import __version__
from aotd.errors import UserError
from aotd.records import SCHEMA, Cost, Dropped, Record
from aotd.store.files import Shard, as_line, disk_errors, make_folder, write_atomically
from aotd.store.index import IndexWriter, entries, offsets, read_index, write_index
from aotd.store.losses import FIRST, FirstLosses
from aotd.store.untrusted import LONGEST_LINE, is_file, lines, read_manifest

_log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)
Q = TypeVar("Q", bound=Record)

_HEAD = b'{"question_id":"'
"""How each line of ours begins, so that its question is known without parsing it. Lines of others are parsed."""
_ID = re.compile(rb'{"question_id":("[^"\\]*(?:\\.[^"\\]*)*")')


_INDICES = 16
"""Files whose index, made again from the lines, is held in memory."""
_TRIES = 4
"""Lines that are tried of an index on the disk: equal hashes are rare, and an index could name every line."""
_FEW = 64
"""So many records are looked up one by one; for more of them all lines are gone through."""


def read_jsonl(path: Path, record: type[R]) -> list[R]:
    """The records of a file; a missing file has none, and a torn last line is not read.

    Raises:
        UserError: a whole line is not such a record, or the file is none.
    """
    return [_read(path, number, line, record) for number, line in _lines(path)]


def _lines(path: Path) -> Generator[tuple[int, bytes]]:
    """The whole lines of a file, counted from 1; a missing file has none."""
    if is_file(path):
        for number, line in lines(path):
            if line.endswith(b"\n"):
                yield number, line


def _read(path: Path, number: int | str, line: bytes, record: type[R]) -> R:
    try:
        return record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        raise UserError(
            f"{path}:{number}: not a {record.__name__} of schema {SCHEMA} ({where}: {first['msg']}); "
            "delete the folder and run the verb again"
        ) from None


def _read_at(path: Path, begin: int, record: type[R]) -> R:
    with path.open("rb") as source:
        source.seek(begin)
        return _read(path, f"byte {begin}", source.readline(), record)


def _line_at(path: Path, begin: int) -> bytes | None:
    """The line that begins at a byte; None where none does."""
    with path.open("rb") as source:
        if begin >= os.fstat(source.fileno()).st_size:
            return None
        if begin:
            source.seek(begin - 1)
            if source.read(1) != b"\n":
                return None
        line = source.readline(LONGEST_LINE + 1)
    return line if line.endswith(b"\n") else None


@lru_cache(maxsize=_INDICES)
def _made_index(path: Path, record: type[Record], stamp: tuple[int, ...]) -> bytes:
    """The index of the lines of a file, made of them; it is put on the disk, if that takes it.

    Args:
        stamp: tells the file from what it was before, so that what is held in memory is that of this one.
    """
    _log.debug("%s: its index is made again", path)
    index = entries(_begins(path, record))
    if read_index(path) != index:
        with suppress(UserError, OSError):  # somebody else's run
            write_index(path, index)
    return index


def _begins(path: Path, record: type[Record]) -> Iterator[tuple[str, int]]:
    """The question ids of lines, each with the byte at which its line begins."""
    at = 0
    for _, line, key in _keyed(path, record):
        yield key, at
        at += len(line)


def _count(path: Path) -> int:
    """How many whole lines a file has; a missing file has none."""
    if not is_file(path):
        return 0
    with path.open("rb") as source:
        return sum(piece.count(b"\n") for piece in iter(lambda: source.read(1 << 16), b""))


def _keyed(path: Path, record: type[R]) -> Generator[tuple[int, bytes, str]]:
    """`_lines`, with the question id of each. Nothing else is parsed, so a line may still be damaged.

    Raises:
        UserError: a line has no question id, or the file is none.
    """
    for number, line in _lines(path):
        yield number, line, _key(path, number, line, record)


def _key(path: Path, number: int | str, line: bytes, record: type[Record]) -> str:
    """The question id of a line."""
    start = len(_HEAD)
    try:
        key = line[start : line.index(b'"', start)].decode()
    except ValueError:
        key = "\\"
    if "\\" in key or not line.startswith(_HEAD):
        key = _id(line) or _read(path, number, line, record).question_id
    return key


def _id(line: bytes) -> str | None:
    """The question id at the beginning of a line; None where there is none."""
    found = _ID.match(line)
    try:
        key = json.loads(found[1]) if found else None
        return str(key) if key and key.encode() else None
    except ValueError:
        return None


class Stage(Generic[R]):
    """One verb's folder in a run, holding records of one type."""

    def __init__(self, run: Path, name: str, record: type[R], first_losses: int = FIRST) -> None:
        """`first_losses`: how many questions may be lost to one cause at first (`aotd.store.losses`)."""
        self.folder = run / name
        self.first_losses = first_losses
        self.name = name
        self.record = record

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def exists(self) -> bool:
        """Whether the verb has begun to write here."""
        return is_file(self.manifest_path)

    @property
    def command(self) -> str:
        return f"aotd {self.name.split('/')[0]}"

    @property
    def records_path(self) -> Path:
        return self.folder / "records.jsonl"

    @property
    def dropped_path(self) -> Path:
        return self.folder / "dropped.jsonl"

    @property
    def costs_path(self) -> Path:
        return self.folder / "costs.jsonl"

    def stream(self, without: Container[str] = ()) -> Iterator[R]:
        """The records written so far, one by one, in the order of their questions.

        Args:
            without: questions whose lines are skipped without parsing them.

        Raises:
            UserError: the verb has not run, or a line is damaged.
        """
        self.check_made()
        for number, line, key in _keyed(self.records_path, self.record):
            if key not in without:
                yield _read(self.records_path, number, line, self.record)

    def stream_lines(self) -> Iterator[tuple[R, bytes]]:
        """`stream`, with each record's line as it stands in the file."""
        self.check_made()
        for number, line in _lines(self.records_path):
            yield _read(self.records_path, number, line, self.record), line

    def keyed_lines(self) -> Iterator[tuple[str, bytes]]:
        """The question ids of `stream`, each with its line as it stands in the file."""
        for _, line, key in _keyed(self.records_path, self.record):
            yield key, line

    def keyed_dropped_lines(self) -> Iterator[tuple[str, bytes]]:
        """The same of the questions this verb dropped."""
        for _, line, key in _keyed(self.dropped_path, Dropped):
            yield key, line

    def records(self) -> list[R]:
        """All of `stream`, as a list."""
        return list(self.stream())

    def find(self, question_id: str) -> R | None:
        """The record of a question, None where it has none. An index tells where its line begins.

        Raises:
            UserError: the verb has not run, or the line is damaged.
        """
        self.check_made()
        found = self._find(question_id)
        return found and _read(self.records_path, f"byte {found[0]}", found[1], self.record)

    def has(self, question_id: str) -> bool:
        """Whether a question has a record.

        Raises:
            UserError: the verb has not run.
        """
        self.check_made()
        return self._find(question_id) is not None

    def find_dropped(self, question_id: str) -> Dropped | None:
        """The line of a question that this verb dropped, None where it did not. All that it dropped are gone through.

        Raises:
            UserError: the line is damaged.
        """
        for number, line, key in _keyed(self.dropped_path, Dropped):
            if key == question_id:
                return _read(self.dropped_path, number, line, Dropped)
        return None

    def _find(self, question_id: str) -> tuple[int, bytes] | None:
        """Where the line of a question begins, and the line."""
        path = self.records_path
        if not is_file(path):
            return None
        for index, tries in ((read_index, _TRIES), (self._index, None)):
            for begin in islice(offsets(index(path), question_id), tries):
                line = _line_at(path, begin)
                if line is not None and _key(path, f"byte {begin}", line, self.record) == question_id:
                    return begin, line
        return None

    def _index(self, path: Path) -> bytes:
        """The index of the lines that are there, which need not be that on the disk."""
        now = path.stat()
        return _made_index(path, self.record, (now.st_ino, now.st_size, now.st_mtime_ns))

    def write_index(self) -> None:
        """Write the index of lines that were not written by a `StageWriter`."""
        self._index(self.records_path)

    def records_of(self, wanted: Collection[str]) -> dict[str, R]:
        """The records of some questions, by their ids, in the order of the lines; no other line is read.

        Raises:
            UserError: the verb has not run, or a line is damaged.
        """
        self.check_made()
        path, record = self.records_path, self.record
        if len(wanted) <= _FEW:
            found = sorted((*place, key) for key in wanted if (place := self._find(key)))
            return {key: _read(path, f"byte {begin}", line, record) for begin, line, key in found}
        return {key: _read(path, number, line, record) for number, line, key in _keyed(path, record) if key in wanted}

    def ids(self) -> Iterator[str]:
        """The question ids of `stream`. Nothing else of the lines is parsed.

        Raises:
            UserError: the verb has not run, or a line has none.
        """
        self.check_made()
        for _, _, key in _keyed(self.records_path, self.record):
            yield key

    def count(self) -> int:
        """How many records were written so far.

        Raises:
            UserError: the verb has not run.
        """
        self.check_made()
        return _count(self.records_path)

    def count_dropped(self) -> int:
        """How many questions this verb has dropped so far."""
        return _count(self.dropped_path)

    @contextmanager
    def beside(self, lead: Stage[Any]) -> Iterator[Callable[[str], R]]:
        """A function that gives the record of a question. Questions must be asked for in the order of this stage.

        It reads on from one record to the next and holds none. Lines of other questions are skipped.

        Args:
            lead: the stage whose questions are asked for; errors name it.

        Raises:
            UserError: the verb has not run; a line is damaged; a question has none, or stands out of the order.
        """
        self.check_made()

        def record_of(question_id: str) -> R:
            head = _HEAD + to_json(question_id)[1:]
            for number, line in following:
                if line.startswith(head) or not line.startswith(_HEAD):
                    record = _read(self.records_path, number, line, self.record)
                    if record.question_id == question_id:
                        return record
            if question_id in self.ids():
                raise UserError(
                    f"{lead.folder}: question {question_id!r} is not in the order of {self.folder}: "
                    f"run `{lead.command}` again, to its end, and then this verb"
                )
            raise UserError(
                f"{lead.folder}: question {question_id!r} has no line in {self.folder}: "
                "delete that folder and run the verb again"
            )

        with closing(_lines(self.records_path)) as following:
            yield record_of

    def stream_dropped(self) -> Iterator[Dropped]:
        """The questions that this verb dropped, one by one, in their order."""
        for number, line in _lines(self.dropped_path):
            yield _read(self.dropped_path, number, line, Dropped)

    def dropped(self) -> list[Dropped]:
        """All of `stream_dropped`."""
        return list(self.stream_dropped())

    def manifest(self) -> dict[str, Any]:
        """What the records were made with and from.

        Raises:
            UserError: the verb has not run, or the manifest is damaged.
        """
        self.check_made()
        return read_manifest(self.manifest_path)

    def costs(self) -> dict[str, Cost]:
        """Question id -> what it took at this verb. Questions that were not measured are left out."""
        return {cost.question_id: cost for cost in read_jsonl(self.costs_path, Cost)}

    def manifest_text(self) -> str:
        """`manifest` as it stands in the file.

        Raises:
            UserError: the verb has not run.
        """
        self.check_made()
        return self.manifest_path.read_text(encoding="utf-8")

    def manifest_digest(self) -> str:
        """Hash of the manifest, which names everything that the records were made from."""
        self.check_made()
        return hashlib.sha256(self.manifest_path.read_bytes()).hexdigest()[:16]

    def open(self, settings: Mapping[str, Any], **made_from: Mapping[str, str]) -> StageWriter[R]:
        """Open the folder for writing. A folder that is half done is resumed.

        Args:
            settings: the settings that change the records, so not the number of workers.
            made_from: named groups of hashes, e.g. `inputs={"load": …}`, `prompts={"write_program": …}`.

        Raises:
            UserError: the folder was made with other settings.
        """
        text = _manifest(settings, made_from)
        self._make_folder()
        if is_file(self.manifest_path):
            if changed := self.changed(settings, **made_from):
                raise UserError(f"{changed}: give this run another name (run=…) or delete that folder")
        else:
            write_atomically(self.manifest_path, text)
        return StageWriter(self)

    def changed(self, settings: Mapping[str, Any], **made_from: Mapping[str, str]) -> str:
        """How the settings of this folder differ, in words; empty where they do not, or where nothing was written.

        Args:
            settings, made_from: as for `open`.

        Raises:
            UserError: the manifest is damaged.
        """
        if not is_file(self.manifest_path):
            return ""
        return self._changed(json.loads(_manifest(settings, made_from)))

    def changed_since(self, other: Stage[Any]) -> str:
        """`changed`, compared with another folder of this verb.

        Raises:
            UserError: the verb has not run in one of them, or a manifest is damaged.
        """
        return self._changed(other.manifest())

    def _changed(self, manifest: dict[str, Any]) -> str:
        changed = _differences(self.manifest(), manifest)
        return f"{self.folder} was made otherwise ({'; '.join(changed[:3])})" if changed else ""

    def check_made(self) -> None:
        """
        Raises:
            UserError: the verb has not run.
        """
        if is_file(self.manifest_path):
            return
        run = self.folder.parents[self.name.count("/")]
        if not run.is_dir():
            raise UserError(f"run={run} is not there: begin with `aotd load run={run} …`, or name another run")
        raise UserError(f"{self.folder} is not there: run `{self.command}` first")

    def check_place(self) -> None:
        """Find out whether the folder can be made, and leave none behind: for a verb with much to do before it writes.

        Raises:
            UserError: it cannot.
        """
        made = list[Path]()
        with suppress(OSError, ValueError):
            made = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        self._make_folder()
        for folder in made:
            with suppress(OSError):  # another process has put something there
                folder.rmdir()

    def _make_folder(self) -> None:
        """
        Raises:
            UserError: it cannot be there.
        """
        try:
            str(self.folder).encode()
            whole = self.folder.resolve()
            if whole.parent == Path(whole.anchor):
                raise UserError(f"run={self.folder.parent} is the root of the file system: give the run a folder")
            with disk_errors(self.folder):
                make_folder(self.folder)
        except (ValueError, RuntimeError):  # a zero byte, half of a character, a link to itself
            raise UserError(f"run={self.folder.parent} is no name of a folder") from None
        except OSError as error:
            shown = str(self.folder)[:300]
            raise UserError(f"{shown} cannot be made ({error.strerror}): give this run another name (run=…)") from None


@dataclass(frozen=True)
class StageEntry:
    """The line that ends a question, and the line of its cost, as the files will hold them."""

    question_id: str
    line: bytes
    dropped: bool
    """Whether it goes to the dropped questions."""
    cost: bytes | None
    """The line of its cost."""

    @staticmethod
    def of(record: Record, cost: Cost | None) -> StageEntry:
        assert cost is None or cost.question_id == record.question_id, "the cost of another question"
        line = as_line(record)
        return StageEntry(
            record.question_id, line, isinstance(record, Dropped), None if cost is None else as_line(cost)
        )


class StageWriter(Generic[R]):
    """Appends to a stage. Use as a context manager."""

    def __init__(self, stage: Stage[R]) -> None:
        self._stage = stage
        with ExitStack() as opened:
            self._records = opened.enter_context(closing(Shard(stage.records_path)))
            self._dropped = opened.enter_context(closing(Shard(stage.dropped_path)))
            self._costs: Shard | None = None
            self.done = {key for _, _, key in _keyed(stage.dropped_path, Dropped)}
            """Ids of the questions that have a line."""
            index = IndexWriter(stage.records_path, entries(self._done_with()))
            self._index = opened.enter_context(closing(index))
            self._opened = opened.pop_all()
        lines = (line for path in (stage.records_path, stage.dropped_path) for _, line in _lines(path))
        self._losses = FirstLosses(stage.first_losses, lines)
        _log.debug("%s: %d questions have a line", stage.folder, len(self.done))

    def _done_with(self) -> Iterator[tuple[str, int]]:
        for key, begin in _begins(self._stage.records_path, self._stage.record):
            self.done.add(key)
            yield key, begin

    def write(self, record: R | Dropped, cost: Cost | None = None, *, again: bool = False) -> int:
        """Append the question's one line, and before it what the question took, where that was measured.

        Args:
            again: whether another question has the same, for which alone it was made.

        Returns the place of the line, for `read`.

        Raises:
            UserError: the first questions are all lost to one cause (`aotd.store.losses`). Their lines are taken back.
        """
        return self.add(StageEntry.of(record, cost), again=again)

    def add(self, entry: StageEntry, *, again: bool = False) -> int:
        """`write` a line that another process has made."""
        assert entry.question_id not in self.done, f"{entry.question_id} written twice"
        if entry.cost is not None:
            self._costs = self._costs or self._opened.enter_context(closing(Shard(self._stage.costs_path)))
            self._costs.add(entry.cost)
        self.done.add(entry.question_id)
        if entry.dropped:
            place = ~self._dropped.add(entry.line)
        else:
            place = self._records.add(entry.line)
            self._index.add(entry.question_id, place)
        if not again and (lost := self._losses.add(entry.line)) is not None:
            self._take_back()
            raise UserError(
                f"{self._stage.name}: the first {self._stage.first_losses} questions all ended alike ({lost}): mend "
                "what is behind that and run the same command again, which asks them anew; first_losses=0 goes on"
            )
        return place

    def _take_back(self) -> None:
        """Leave the stage as if it had not begun, so that settings may change."""
        self._dropped.clear()
        self._records.clear()
        self._index.replace(b"")
        self._stage.manifest_path.unlink(missing_ok=True)

    def read(self, place: int) -> R | Dropped:
        """The record at a place: the byte at which its line begins, or `~` of that for a dropped question.

        Raises:
            UserError: it is damaged.
        """
        if place >= 0:
            return _read_at(self._stage.records_path, place, self._stage.record)
        return _read_at(self._stage.dropped_path, ~place, Dropped)

    def written(self, questions: Iterable[Q]) -> Iterator[tuple[Q, int]]:
        """The questions that have a line, each with its place. The lines must be in their order (`sort`)."""
        with self._walks() as (records, dropped):
            for question in questions:
                if question.question_id == records.key:
                    yield question, records.at
                    records.step()
                elif question.question_id == dropped.key:
                    yield question, ~dropped.at
                    dropped.step()

    def sort(self, order: Iterable[str]) -> None:
        """Put the lines into the order of their questions.

        Lines that are in order already are not held, and nothing is written if all of them are. From the first one
        out of order on, an id and a number are held for each line.

        Args:
            order: ids of questions, none twice. Questions without a line are skipped.

        Raises:
            UserError: a line is of none of these questions, or of one that has another; the disk does not take it.
        """
        order = iter(order)
        first: list[str] = []
        with self._walks() as walks:
            records, dropped = walks
            for key in order:
                if key == records.key:
                    records.step()
                elif key == dropped.key:
                    dropped.step()
                elif key in self.done:
                    first = [key]
                    break
            kept, left = [walk.at for walk in walks], [walk.rest() for walk in walks]
        moved = [array("q") for _ in walks]
        for key in chain(first, order):
            for begins, put in zip(left, moved, strict=True):
                if key in begins:
                    put.append(begins.pop(key))
        for walk, begins in zip(walks, left, strict=True):
            if begins:
                raise walk.too_many(next(iter(begins)))
        for shard, whole, put in zip((self._records, self._dropped), kept, moved, strict=True):
            if any(one > other for one, other in pairwise(put)):
                shard.reorder(whole, put)
                if shard is self._records:
                    self._index.replace(entries(_begins(self._stage.records_path, self._stage.record)))

    @contextmanager
    def _walks(self) -> Iterator[tuple[_Walk, _Walk]]:
        records = _keyed(self._stage.records_path, self._stage.record)
        dropped = _keyed(self._stage.dropped_path, Dropped)
        with closing(records), closing(dropped):
            yield _Walk(self._stage.records_path, records), _Walk(self._stage.dropped_path, dropped)

    def __enter__(self) -> StageWriter[R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()


class _Walk:
    """A cursor that goes through a file line by line."""

    def __init__(self, path: Path, keyed: Iterator[tuple[int, bytes, str]]) -> None:
        self._path = path
        self._keyed = keyed
        self.at, self._length = 0, 0
        self.key: str | None = None
        self.step()

    def step(self) -> None:
        """Go to the next line. `key` is its question's id, or None behind the last line; `at` is where it begins."""
        self.at += self._length
        following = next(self._keyed, None)
        self._length = len(following[1]) if following else 0
        self.key = following[2] if following else None

    def rest(self) -> dict[str, int]:
        """Question id -> where its line begins, for this line and those behind it."""
        begins: dict[str, int] = {}
        while self.key is not None:
            if self.key in begins:
                raise self.too_many(self.key)
            begins[self.key] = self.at
            self.step()
        return begins

    def too_many(self, key: str) -> UserError:
        return UserError(
            f"{self._path}: a line of question {key!r} is one too many: delete that folder and run the verb again"
        )


def _manifest(settings: Mapping[str, Any], made_from: Mapping[str, Mapping[str, str]]) -> str:
    manifest = {"schema": SCHEMA, "version": __version__, "settings": dict(settings), **made_from}
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


def _differences(before: Any, after: Any, at: str = "") -> list[str]:
    """The leaves in which two JSON values differ, as `key: before -> after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted({*before, *after}):
            found += _differences(before.get(key), after.get(key), f"{at}.{key}" if at else key)
        return found
    return [] if before == after else [f"{at}: {before} -> {after}"]
