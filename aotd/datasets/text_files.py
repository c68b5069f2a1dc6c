"""Files of text as people have them: compressed, with a byte order mark, in UTF-16, or not what they should be.

A download often leaves something else under the right name: the page of a web site, a pointer of Git LFS, an archive.
These are named, so that nobody looks for a fault in their content.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aotd.errors import UserError

MOST_BYTES = 8 << 30
"""How much a compressed file may hold; the largest annotation of a benchmark takes some two."""
_HEAD = 64
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save it as CSV in UTF-8",
    b"PK\x05\x06": "an empty zip archive: fetch it anew",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save it as CSV in UTF-8 (Excel: 'CSV UTF-8')",
    b"Rar!": "an archive: unpack it",
    b"7z\xbc\xaf": "an archive: unpack it",
    b"PAR1": "a parquet file: its name must end in .parquet",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: run git lfs pull, or fetch the file itself",
}
_PAGES = (b"<!doctype html", b"<html")


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """The text of a file; line ends stand as they are.

    Raises:
        UserError: it holds no text, or its compression is damaged; while it is read, too.
    """
    try:
        packed = _is_gzip(path)
        with gzip.open(path) if packed else path.open("rb") as source:
            head = source.read(_HEAD)
        _check(path, head)
        if packed:
            with gzip.open(path, "rt", encoding=_encoding(head), newline="") as text:
                yield text
        else:
            with path.open(encoding=_encoding(head), newline="") as text:
                yield text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip ({error}); fetch it anew") from None


def whole_text(path: Path) -> str:
    """All text of a file.

    Raises:
        UserError: as `opened`; or it is not in UTF-8 (or UTF-16 with its mark), or holds too much.
    """
    with opened(path) as source:
        try:
            text = source.read(MOST_BYTES) if _is_gzip(path) else source.read()
        except UnicodeError as error:
            raise UserError(f"{path}:{undecodable_line(path)}: {not_utf8(error)}; fetch it anew") from None
        if len(text) == MOST_BYTES:
            raise UserError(f"{path}: holds more than {MOST_BYTES >> 30} GiB of text")
    return text


def undecodable_line(path: Path) -> int:
    """The first line that is not UTF-8; a decoder reads ahead and cannot tell."""
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as source:
        for number, line in enumerate(source, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1  # in UTF-16, where a byte ends no line


def not_utf8(error: UnicodeError) -> str:
    """What is said of a byte that is not UTF-8: what it is, and in Western Europe's older encoding."""
    if not isinstance(error, UnicodeDecodeError) or error.encoding.startswith("utf-16"):
        return "not in UTF-8, but cut off or damaged UTF-16"
    byte = error.object[error.start : error.start + 1]
    guess = byte.decode("cp1252", "ignore")
    return f"not in UTF-8 (byte 0x{byte.hex().upper()}" + (f", in Windows-1252 {guess!r})" if guess else ")")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as source:
        return source.read(2) == b"\x1f\x8b"


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) > 1 and not (head[0] and head[1]):  # without a mark; the first character is ASCII's
        return "utf-16-be" if not head[0] else "utf-16-le"
    return "utf-8-sig"


def _check(path: Path, head: bytes) -> None:
    """
    Raises:
        UserError: a file that begins so holds something else.
    """
    if not head:
        raise UserError(f"{path}: is empty; fetch it anew")
    for mark, told in _NO_TEXT.items():
        if head.startswith(mark):
            raise UserError(f"{path}: is {told}")
    if head.lstrip().lower().startswith(_PAGES):
        raise UserError(f"{path}: is a web page, not the file: fetch the file itself (on GitHub: 'Raw')")
