"""JSON as benchmarks publish it: also JSON lines under the name .json, commas before a closing bracket, NaN, gzip."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from aotd.datasets.text_files import whole_text
from aotd.errors import UserError

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|,(?=\s*[\]}])', re.DOTALL)
"""A string, or a comma with nothing between it and a closing bracket. A string that is never closed ends the search."""
_MORE = "Extra data"
"""What `json` says where more follows a whole value: the file may be JSON lines."""


class JsonEntry(NamedTuple):
    """One entry of a file."""

    where: str
    """File and entry, for messages."""
    value: Any


def read_json(path: Path) -> Any:
    """What a JSON file holds; JSON lines are a list.

    What is not a number (NaN) is null, as in tables that pandas wrote. A comma before a closing bracket is left out.
    Half a character, which JSON can hold and no file of a run, is a question mark.

    Raises:
        UserError: it is not JSON, or no text.
    """
    text = whole_text(path)
    try:
        value = _parsed(text)
        if _HALF.search(text):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg}: column {error.colno}); fetch it anew") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({str(error).splitlines()[0]}); fetch it anew") from None
    return value


def _parsed(text: str) -> Any:
    try:
        return _loads(text)
    except json.JSONDecodeError as error:
        first = error
    if first.msg == _MORE:
        return _lines(text)
    plain = _STRING_OR_COMMA.sub(lambda found: "" if found[0] == "," else found[0], text)
    try:
        return _loads(plain)
    except json.JSONDecodeError as error:
        if error.msg == _MORE:
            return _lines(plain)
        raise first from None


def _lines(text: str) -> list[Any]:
    """The values of JSON lines.

    Raises:
        JSONDecodeError: a line is not JSON; its number is that in the whole text.
    """
    values, start = [], 0
    for line in text.split("\n"):
        if line.strip():
            try:
                values.append(_loads(line))
            except json.JSONDecodeError as error:
                raise json.JSONDecodeError(error.msg, text, start + error.pos) from None
        start += len(line) + 1
    return values


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))


def json_entries(path: Path, key: str, what: str) -> list[JsonEntry]:
    """The entries of a file: those of a list, of JSON lines, or of an object that has each under its id.

    Args:
        key: the field that holds an entry's id, where a list is; empty where entries have none.
        what: what the file should be, for messages.

    Raises:
        UserError: it is not JSON, or holds no entries.
    """
    value = read_json(path)
    if isinstance(value, list):
        return [JsonEntry(f"{path}: entry {number}", row) for number, row in enumerate(value, start=1)]
    if key and isinstance(value, dict) and key not in value and any(isinstance(row, dict) for row in value.values()):
        return [
            JsonEntry(f"{path}: entry {name!r}", {key: name, **row} if isinstance(row, dict) else row)
            for name, row in value.items()
        ]
    if isinstance(value, dict) and not all(isinstance(part, list) for part in value.values()):
        return [JsonEntry(f"{path}: entry 1", value)]  # JSON lines, of which there is one
    raise UserError(f"{path}: {what} is a list{' or an object of objects' if key else ''}, this is {_kind(value)}")


def json_object(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: it is not JSON, or no object; says what was expected.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: {what} is one JSON object, this is {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        inner = next((name for name, rows in value.items() if isinstance(rows, list)), None)
        names = ", ".join(repr(name[:40]) for name in list(value)[:4])
        hint = f"; if the entries are those of {inner!r}, save that list alone" if inner is not None else ""
        return f"a dict ({names}){hint}"
    return f"a {type(value).__name__}"
