"""Runs on disk: one folder per verb, JSON lines in it, and a manifest that says how they were made.

    runs/demo/decompose/manifest.json      settings, inputs, prompts, models, code version
    runs/demo/decompose/records.jsonl      one Program per question that has one
    runs/demo/decompose/dropped.jsonl      one Dropped per question that has none, with the reason
    runs/demo/decompose/costs.jsonl        what each question took, where that is measured

Lines are appended and flushed one by one. A process killed in mid-line leaves a torn tail, which is
cut off when the folder is opened again; questions that already have a line are skipped. So a run that
was killed at any instant and started again ends as if it had not been.

A kill loses nothing that was written; when the power goes, what is not on the disk is lost too. Lines go there at
most `SYNC_S` later while more are appended, and when a stage is closed, before the next verb reads it; whole files
before they have their name.

Costs are the exception, since no two runs take the same time. A question's cost is written before its line;
a kill between the two leaves a cost of work that is done again. So the last cost of a question counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from aotd import __version__
from aotd.disk import Shard, disk_errors, make_folder, write_atomically
from aotd.errors import UserError
from aotd.reading import is_file, lines, read_manifest
from aotd.records import SCHEMA, Cost, Dropped, Record

R = TypeVar("R", bound=Record)


def read_jsonl(path: Path, record: type[R]) -> list[R]:
    """The records of a file; a missing file has none, and a torn last line is not read.

    Raises:
        UserError: a whole line is not such a record, or the file is none.
    """
    if not is_file(path):
        return []
    found = []
    for number, line in lines(path):
        if not line.endswith(b"\n"):
            break
        try:
            found.append(record.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise UserError(
                f"{path}:{number}: not a {record.__name__} of schema {SCHEMA} ({where}: {first['msg']}); "
                "delete the folder and run the verb again"
            ) from None
    return found


class Stage(Generic[R]):
    """One verb's folder in a run, holding records of one type."""

    def __init__(self, run: Path, name: str, record: type[R]) -> None:
        self.folder = run / name
        self.name = name
        self.record = record

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    def records(self) -> list[R]:
        """The records written so far, in the order of their questions.

        Raises:
            UserError: the verb has not run, or a line is damaged.
        """
        self._check_made()
        return read_jsonl(self.folder / "records.jsonl", self.record)

    def dropped(self) -> list[Dropped]:
        """The questions this verb dropped."""
        return read_jsonl(self.folder / "dropped.jsonl", Dropped)

    def manifest(self) -> dict[str, Any]:
        """What the records were made with and from.

        Raises:
            UserError: the verb has not run, or the manifest is damaged.
        """
        self._check_made()
        return read_manifest(self.manifest_path)

    def costs(self) -> dict[str, Cost]:
        """Question id -> what it took at this verb; those that were not measured are not in it."""
        return {cost.question_id: cost for cost in read_jsonl(self.folder / "costs.jsonl", Cost)}

    def manifest_digest(self) -> str:
        """Hash of the manifest, which stands for everything the records were made from."""
        self._check_made()
        return hashlib.sha256(self.manifest_path.read_bytes()).hexdigest()[:16]

    def open(self, settings: Mapping[str, Any], **made_from: Mapping[str, str]) -> Writer[R]:
        """Open the folder for writing; a half-done one is taken up where it stopped.

        Args:
            settings: the settings that decide the records (not: workers, progress bars).
            made_from: named groups of hashes, e.g. `inputs={"load": …}`, `prompts={"write_program": …}`.

        Raises:
            UserError: the folder was made with other settings.
        """
        manifest = {"schema": SCHEMA, "version": __version__, "settings": dict(settings), **made_from}
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        self._make_folder()
        if is_file(self.manifest_path):
            changed = _differences(self.manifest(), json.loads(text))
            if changed:
                raise UserError(
                    f"{self.folder} was made otherwise ({'; '.join(changed[:3])}): "
                    "give this run another name (run=…) or delete that folder"
                )
        else:
            write_atomically(self.manifest_path, text)
        return Writer(self)

    def _check_made(self) -> None:
        """
        Raises:
            UserError: the verb has not run.
        """
        if not is_file(self.manifest_path):
            raise UserError(f"{self.folder} is not there: run `aotd {self.name.split('/')[0]}` first")

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


class Writer(Generic[R]):
    """Appends to a stage. Use as a context manager; `done` holds the questions that have a line."""

    def __init__(self, stage: Stage[R]) -> None:
        with ExitStack() as opened:
            self._records = opened.enter_context(closing(Shard(stage.folder / "records.jsonl")))
            self._dropped = opened.enter_context(closing(Shard(stage.folder / "dropped.jsonl")))
            self._costs_path = stage.folder / "costs.jsonl"
            self._costs: Shard | None = None
            self.done = {record.question_id for record in stage.records()}
            self.done |= {record.question_id for record in stage.dropped()}
            self._opened = opened.pop_all()

    def write(self, record: R | Dropped, cost: Cost | None = None) -> None:
        """Append the question's one line, and before it what the question took, where that was measured."""
        assert record.question_id not in self.done, f"{record.question_id} written twice"
        if cost is not None:
            assert cost.question_id == record.question_id, "the cost of another question"
            self._costs = self._costs or self._opened.enter_context(closing(Shard(self._costs_path)))
            self._costs.append(cost)
        (self._dropped if isinstance(record, Dropped) else self._records).append(record)
        self.done.add(record.question_id)

    def sort(self, place: Mapping[str, int]) -> None:
        """Put lines that were written as they came into the order of their questions; `place` numbers those."""
        for shard in (self._records, self._dropped):
            shard.sort(place)

    def __enter__(self) -> Writer[R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()


def _differences(before: Any, after: Any, at: str = "") -> list[str]:
    """The leaves in which two JSON values differ, as `key: before -> after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted({*before, *after}):
            found += _differences(before.get(key), after.get(key), f"{at}.{key}" if at else key)
        return found
    return [] if before == after else [f"{at}: {before} -> {after}"]


def verbs_of(run: Path) -> Iterator[str]:
    """The verbs that have written into a run, in no particular order."""
    for path in run.glob("*/manifest.json"):
        yield path.parent.name
