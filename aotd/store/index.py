"""Where the line of each question begins: a file of fixed-size entries beside a stage's lines.

    runs/demo/execute/records.index     for each line of records.jsonl: a hash of the question's id, and an offset

The index follows from the lines alone, and nobody has to believe it: `find` reads the line at the offset and checks
that it is the question's. An index that is missing, short, torn or of other lines is made again from the lines. Where
the folder cannot be written, it is held in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from io import FileIO
from pathlib import Path

from aotd.store.files import disk_errors, whole_file
from aotd.store.untrusted import is_file

_ENTRY = struct.Struct("<8sQ")


def index_path(lines: Path) -> Path:
    return lines.with_suffix(".index")


def entries(keyed: Iterable[tuple[str, int]]) -> bytes:
    """An index, of the id and the offset of each line."""
    return b"".join(_ENTRY.pack(_hash(question_id), begin) for question_id, begin in keyed)


def _hash(question_id: str) -> bytes:
    return blake2b(question_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def offsets(index: bytes, question_id: str) -> Iterator[int]:
    """Where lines may begin that are this question's: hashes may be equal, and an index may be wrong."""
    wanted, at = _hash(question_id), -1
    while (at := index.find(wanted, at + 1)) >= 0:
        if at % _ENTRY.size == 0 and at + _ENTRY.size <= len(index):
            yield _ENTRY.unpack_from(index, at)[1]


def read_index(lines: Path) -> bytes:
    """The index on the disk, unchecked; empty where there is none, or one that is too long for these lines.

    Raises:
        UserError: there is something else in its place.
    """
    path = index_path(lines)
    if not is_file(path) or path.stat().st_size > lines.stat().st_size:  # each line is longer than its entry
        return b""
    return path.read_bytes()


def write_index(lines: Path, index: bytes) -> None:
    """Put an index in its place.

    Raises:
        UserError: the disk does not take it.
    """
    with whole_file(index_path(lines), named=False) as partial:
        partial.write_bytes(index)


class IndexWriter:
    """Appends an entry for each line. A kill between a line and its entry is mended when the lines are opened again."""

    def __init__(self, lines: Path, index: bytes) -> None:
        """`index`: that of the lines that are there."""
        self._lines = lines
        path = index_path(lines)
        if not is_file(path) or path.stat().st_size != len(index) or read_index(lines) != index:
            write_index(lines, index)
        self._out = self._opened()

    def _opened(self) -> FileIO:
        with disk_errors(index_path(self._lines)):
            return index_path(self._lines).open("ab", buffering=0)

    def add(self, question_id: str, begin: int) -> None:
        """Add the entry of a line that has been written.

        Raises:
            UserError: the disk does not take it.
        """
        with disk_errors(index_path(self._lines)):
            self._out.write(_ENTRY.pack(_hash(question_id), begin))

    def replace(self, index: bytes) -> None:
        """Put another index in its place, since the lines have been put into another order."""
        self.close()
        write_index(self._lines, index)
        self._out = self._opened()

    def close(self) -> None:
        self._out.close()
