"""Crash-safe files: whole ones, and ones that are appended to.

A whole file is written beside its place, synced and renamed, so that no reader sees half of it. A `Shard` is appended
to line by line, by one process at a time. A process that is killed in mid-line leaves a torn tail, which is cut off
when the file is opened again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aotd.errors import UserError
from aotd.runtime.pools import started_s
from aotd.store.untrusted import is_file

SYNC_S = 5.0
"""Seconds between the syncs of a file that is appended to, and so the most that a power cut costs. The writer waits for
a sync: some milliseconds, or some tenths of a second on a network disk."""

_PIECE = 1 << 16
"""Bytes that are read of a file at once."""

LOCK_S = 10.0
"""Seconds to wait for a process that is about to leave a file."""


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file atomically.

    Raises:
        UserError: the disk does not take it.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_file(path: Path, *, named: bool = True) -> Iterator[Path]:
    """A path to write to. It replaces `path` when all of it is on the disk.

    Args:
        named: whether to sync the name as well; a file that can be made again may lose it.

    Raises:
        UserError: the disk does not take it.
    """
    with disk_errors(path):
        make_folder(path.parent)
        _sweep(path.parent)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.touch()
            mode = partial.stat().st_mode
            yield partial
            partial.chmod(mode)  # safetensors puts a file of its own in its place, which only its owner can read
            sync(partial)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if named:
            sync(path.parent)


@cache
def _sweep(folder: Path) -> None:
    """Remove partial files that killed processes have left in a folder: those older than this process.

    A worker leaves what is younger than the process that shares out the work: others may be writing it.
    """
    for partial in folder.glob(".*.partial"):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < started_s():
                partial.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and sync their names."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Have the disk hold what a file or a folder holds (for a folder: the names in it)."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # some network file systems sync no folders
            raise
    finally:
        os.close(number)


def sync_tree(folder: Path) -> None:
    """`sync` a folder, all below it, and its name.

    Raises:
        UserError: the disk does not take it.
    """
    with disk_errors(folder):
        for path in (*folder.rglob("*"), folder, folder.parent):
            sync(path)


_MENDS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room"),
    **dict.fromkeys((errno.EIO, errno.EROFS), "look after the disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "see to its permissions"),
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Report in one line why `path` cannot be written, unless the error names another file.

    Raises:
        UserError: the disk is full, broken, or may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _MENDS:
            raise
        raise UserError(
            f"{error.filename or path}: {error.strerror}: {_MENDS[error.errno]} and run the same command again, "
            "it goes on where it left off"
        ) from None


def digest(value: Any) -> str:
    """Short hash of anything JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def file_digest(*paths: Path) -> str:
    """SHA-256, in hex, of the bytes of some files, one after the other."""
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as source:
            while piece := source.read(_PIECE):
                found.update(piece)
    return found.hexdigest()


def as_line(record: BaseModel) -> bytes:
    """A record as one line of JSON."""
    return record.model_dump_json(exclude_defaults=True).encode() + b"\n"


class Shard:
    """One JSONL file being appended to. Opening it cuts off a torn tail.

    Raises:
        UserError: the disk does not take it, or another process is appending to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            make_folder(path.parent)
            if not is_file(path):
                path.touch()
                sync(path.parent)
            self._out = self._opened()
            self._end = _whole(path)
            if self._end < path.stat().st_size:
                os.truncate(path, self._end)
        self._synced_s, self._dirty = time.monotonic(), False
        _open_shards.add(self)

    def _opened(self) -> FileIO:
        """The file, locked, so that one process at a time appends. The lock ends with its process."""
        until = time.monotonic() + LOCK_S
        while True:
            out: FileIO = self._path.open("ab", buffering=0)
            try:
                fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(out.fileno()), self._path.stat()):
                    return out
                out.close()  # another process has replaced the file
            except BlockingIOError:
                out.close()
                if time.monotonic() >= until:
                    raise UserError(
                        f"{self._path} is being written by another process: let that end, or give this run another name"
                    ) from None
                time.sleep(0.1)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):  # some network file systems
                    raise
                return out

    def append(self, record: BaseModel) -> int:
        """Write a record's line, as `add` does."""
        return self.add(as_line(record))

    def add(self, text: bytes) -> int:
        """Write one line, and sync once in a while. Returns the byte at which the line begins.

        Raises:
            UserError: the disk does not take it.
        """
        line = memoryview(text)
        begin, self._dirty = self._end, True
        self._end += len(line)
        with disk_errors(self._path):
            while line:
                line = line[self._out.write(line) :]
        if time.monotonic() - self._synced_s >= SYNC_S:
            self.sync()
        return begin

    def sync(self) -> None:
        """Sync all lines.

        Raises:
            UserError: it does not.
        """
        if self._dirty:
            with disk_errors(self._path):
                os.fsync(self._out.fileno())
            self._synced_s, self._dirty = time.monotonic(), False

    def clear(self) -> None:
        """Take all lines back.

        Raises:
            UserError: the disk does not take it.
        """
        self._end, self._dirty = 0, True
        with disk_errors(self._path):
            os.ftruncate(self._out.fileno(), 0)
        self.sync()

    def reorder(self, kept: int, begins: Iterable[int]) -> None:
        """Rewrite the file: the first `kept` bytes as they are, then the lines that begin at `begins`, in that order.

        Raises:
            UserError: the disk does not take it.
        """
        with whole_file(self._path) as partial, self._path.open("rb") as source, partial.open("wb") as out:
            while kept:
                kept -= out.write(source.read(min(kept, _PIECE)))
            for begin in begins:
                source.seek(begin)
                out.write(source.readline())
        self._dirty = False
        with disk_errors(self._path), self._out:  # locked until the new file is
            self._out = self._opened()

    def close(self) -> None:
        try:
            self.sync()
        finally:
            _open_shards.discard(self)
            self._out.close()


def _whole(path: Path) -> int:
    """The number of bytes of a file's whole lines. Only the end of the file is read."""
    with path.open("rb") as source:
        at = source.seek(0, os.SEEK_END)
        while at:
            begin = max(at - _PIECE, 0)
            source.seek(begin)
            last = source.read(at - begin).rfind(b"\n")
            if last >= 0:
                return begin + last + 1
            at = begin
    return 0


_open_shards: weakref.WeakSet[Shard] = weakref.WeakSet()


def sync_shards() -> None:
    """`Shard.sync` for every file that this process is appending to."""
    for shard in list(_open_shards):
        shard.sync()
