"""Files that may come from a stranger, read within bounds: a run's folder is passed on, and so is a checkpoint.

What is no file is not waited for, a line has a longest length, and JSON a deepest nesting.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aotd.errors import UserError

LONGEST_LINE = 64 << 20
"""Bytes of a line of JSON; a trace of a thousand tool calls is a few of them."""
LONGEST = 32 << 20
"""Bytes of a file of settings; the index of a model of 10**12 weights is half as long."""
DEEPEST = 64
"""Objects and lists within each other; what we write has a handful."""


def is_file(path: Path) -> bool:
    """Whether there is a file; a link to one is one.

    Raises:
        UserError: there is something else, or it cannot be reached.
    """
    try:
        if path.is_file():
            return True
        strange = path.exists() or path.is_symlink()
    except OSError as error:
        raise UserError(f"{str(path)[:300]} cannot be read ({error.strerror})") from None
    if strange:
        raise UserError(f"{path} is no file, but a folder, a pipe, a device or a link to nothing: move it away")
    return False


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, counted from 1, with their ends; the last may have none.

    Raises:
        UserError: the file cannot be read, or a line is longer than any.
    """
    try:
        with path.open("rb", buffering=1 << 16) as source:
            for number, line in enumerate(iter(partial(source.readline, LONGEST_LINE + 1), b""), start=1):
                if len(line) > LONGEST_LINE:
                    raise UserError(f"{path}:{number} is longer than {LONGEST_LINE >> 20} MiB, and no line of ours is")
                yield number, line
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def read_object(path: Path, where: str, longest: int = LONGEST) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        where: the file's name, for the error.

    Raises:
        UserError: it is too long, nested too deeply, no JSON, or no object; or it cannot be read.
    """
    try:
        if path.stat().st_size > longest:
            raise UserError(f"{where} is longer than {longest >> 20} MiB: it holds something else")
        text = path.read_bytes()
        read = json.loads(text)
        if b"\\u" in text:
            json.dumps(read, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{where} holds half of a character") from None
    except RecursionError:
        raise UserError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({' '.join(str(error).split())[:100]})") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror})") from None
    if not isinstance(read, dict):
        raise UserError(f"{where} is not a JSON object")
    layer: list[Any] = [read]
    for _ in range(DEEPEST):
        layer = [one for held in layer for one in (held.values() if isinstance(held, dict) else held)]
        layer = [one for one in layer if isinstance(one, dict | list)]
        if not layer:
            return read
    raise UserError(f"{where} is nested too deeply")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a verb's folder.

    Raises:
        UserError: it is damaged.
    """
    try:
        return read_object(path, "it")
    except UserError as error:
        raise UserError(f"{path} is damaged ({error}): delete its folder and run the verb again") from None
