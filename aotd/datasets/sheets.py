"""Tables of text, as spreadsheets and scripts save them: CSV, TSV, and what Excel makes of them.

Read as they stand: commas, semicolons, tabs or bars between the fields, the line `sep=;`, a byte order mark, UTF-16,
any line ends, rows without text, blanks and other letter cases in the heading, and a column of row numbers without a
heading of its own. What cannot be told for certain is an error that names the line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from aotd.datasets.text_files import not_utf8, opened, undecodable_line
from aotd.errors import UserError, meant

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What may stand between two fields, the usual one first."""
_SEP = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?[\r\n]*', re.IGNORECASE)
_UNNAMED = re.compile(r"|unnamed: ?\d+|index", re.IGNORECASE)
"""Headings of a column that pandas or a spreadsheet has added."""
_ROW_NUMBER = re.compile(r"\d*(\.0)?")
_SAVE = "save the file as CSV in UTF-8 (Excel: 'CSV UTF-8')"
_SHOWN = 60


@dataclass(frozen=True)
class SheetRow:
    """A row that holds any text."""

    line: int
    """The line of the file on which it ends, from 1."""
    fields: dict[str, str]
    """Heading -> text without space around it."""
    decimal_comma: bool
    """Whether a comma cannot stand between fields here, and so may stand in a number."""


def sheet_rows(path: Path, known: Sequence[str], what: str, needed: Sequence[str] = ()) -> Iterator[SheetRow]:
    """The rows of a table, one by one.

    Args:
        known: headings that one would expect; they say what stands between the fields, and how a heading is written.
        what: what the file should be, for messages.
        needed: headings that must be there.

    Raises:
        UserError: it is no table, or lacks a heading; or a row has too many or too few fields.
    """
    try:
        with opened(path) as source:
            yield from _rows(path, iter(source), known, what, needed)
    except UnicodeError as error:
        raise UserError(f"{path}:{undecodable_line(path)}: {not_utf8(error)}: {_SAVE}") from None


def _rows(
    path: Path, lines: Iterator[str], known: Sequence[str], what: str, needed: Sequence[str]
) -> Iterator[SheetRow]:
    before, delimiter, first = 0, "", ""
    for line in lines:
        before += 1
        if not delimiter and (told := _SEP.fullmatch(line)):
            delimiter = told["delimiter"]
        elif line.strip(' \t\r\n,;|"'):
            first = line
            break
    if not first:
        raise UserError(f"{path}: not {what}: it is empty")
    delimiter = delimiter or max(_NAMES, key=lambda one: len(_recognised(first, one, known)))
    table = csv.reader(chain([first], lines), delimiter=delimiter, strict=True, skipinitialspace=True)

    def where() -> str:
        return f"{path}:{table.line_num + before - 1}"

    try:
        heading = _heading(next(table), known, where())
        _check_heading([name for name in heading if name], known, needed, f"{where()}: not {what}", delimiter)
        for row in table:
            texts = [text.strip() for text in row]
            if not any(texts):
                continue
            if len(texts) != len(heading):
                raise UserError(f"{where()}: {_misfit(len(texts), len(heading), delimiter)}")
            fields = {name: text for name, text in zip(heading, texts, strict=True) if name is not None}
            _check_unnamed(heading, texts, where())
            if any(fields.values()):
                yield SheetRow(table.line_num + before - 1, fields, delimiter != ",")
    except csv.Error as error:
        raise UserError(f"{where()}: not CSV ({error})") from None


def _recognised(line: str, delimiter: str, known: Sequence[str]) -> set[str]:
    """The headings that one knows, were the fields of a line between such delimiters."""
    try:
        (row,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    except (csv.Error, ValueError):
        return set()
    return {_plain(text) for text in row} & {_plain(name) for name in known}


def _plain(heading: str) -> str:
    return heading.strip().strip("\ufeff").casefold()


def _heading(row: list[str], known: Sequence[str], where: str) -> list[str | None]:
    """The heading of each column, as it is known; None for one that a program has added.

    Raises:
        UserError: two are the same.
    """
    by_plain = {_plain(name): name for name in known}
    names: list[str | None] = []
    for text in row:
        name = by_plain.get(_plain(text), text.strip().strip("\ufeff"))
        names.append(None if _UNNAMED.fullmatch(name) and name not in known else name)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{where}: two columns have the heading {twice[:_SHOWN]!r}: rename or delete one")
    return names


def _check_heading(
    given: Sequence[str], known: Sequence[str], needed: Sequence[str], complaint: str, delimiter: str
) -> None:
    """
    Raises:
        UserError: one that is needed is not there, or none that one knows.
    """
    if not set(known) & set(given):
        found = ", ".join(repr(name[:_SHOWN]) for name in given[:8])
        raise UserError(
            f"{complaint}: it has none of the columns {', '.join(known)}; "
            f"with {_name(delimiter)} between the fields its heading is {found}"
        )
    lacking = next((name for name in needed if name not in given), None)
    if lacking is not None:
        raise UserError(f"{complaint}: there is no column {lacking!r}{meant(lacking, given)}")


def _check_unnamed(heading: Sequence[str | None], texts: Sequence[str], where: str) -> None:
    for place, (name, text) in enumerate(zip(heading, texts, strict=True), start=1):
        if name is None and not _ROW_NUMBER.fullmatch(text):
            raise UserError(f"{where}: column {place} holds {text[:_SHOWN]!r} and has no heading: give it one")


def _misfit(fields: int, columns: int, delimiter: str) -> str:
    name = _name(delimiter)
    hint = f"; a field that holds {name} needs quotes around it" if fields > columns else ""
    return (
        f"has not as many fields as the first line has columns: {fields}, not {columns}, with {name} between them{hint}"
    )


def _name(delimiter: str) -> str:
    return _NAMES.get(delimiter, repr(delimiter))
