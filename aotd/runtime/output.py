"""Standard output and standard error, however this process finds them: of an old encoding, closed, or a pipe."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path

from rich.console import Console

_LIKE = str.maketrans(
    {
        **{"–": "-", "—": "-", "−": "-", "→": "->", "←": "<-", "…": "...", "·": ".", "×": "x", "±": "+-"},
        **{"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "•": "*"},
        **{"─": "-", "│": "|", "\N{REPLACEMENT CHARACTER}": "?"},
    }
)
"""Characters of our own words and tables -> what an encoding without them can show instead."""


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`: what cannot be encoded becomes something like it, else a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(c if c.isascii() else "?" * len(c) for c in lost.translate(_LIKE)), error.end


codecs.register_error("aotd", _replaced)


def open_streams() -> None:
    """Have standard output and standard error take anything: none of it is worth a traceback.

    A closed stream becomes one that leads nowhere. What an encoding lacks is replaced.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # Else the next file that is opened would be taken for the stream by what this process starts.
            while (opened := os.open(os.devnull, os.O_RDWR)) < number:
                pass
            if opened > number:
                os.close(opened)
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (it stays open)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="aotd")


def is_unicode() -> bool:
    """Whether standard output can print every character."""
    return codecs.lookup(sys.stdout.encoding or "ascii").name.startswith("utf")


def drop_output() -> None:
    """Send nowhere what standard output still holds: it can be written to no more, and the interpreter would try."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except OSError:  # not a file of the system
        pass
    finally:
        os.close(nowhere)


class StandardConsole(Console):
    """Rich's console, by default standard output. What is printed is text: no markup, no emoji by name, no highlights.

    Args:
        stderr: print to standard error.
        width: of tables; None: of the terminal.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Pass on that the reader has gone; rich would end the process here."""
        raise


_PIPED_WIDTH = 120


def wide_console() -> StandardConsole:
    """Standard output; into a file or a pipe tables are wider than the 80 columns that rich takes there."""
    return StandardConsole(width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def say(text: str) -> None:
    """Print a line, however wide the terminal is."""
    StandardConsole().print(text, soft_wrap=True)
