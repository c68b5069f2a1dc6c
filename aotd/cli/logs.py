"""What aotd says while it works: lines on standard error, more of them with `-v`, fewer with `-q`.

The library says it through `logging`; results that a verb prints, and a user's mistakes, do not come this way.
"""

from __future__ import annotations

import logging

from aotd.errors import UserError, spelt_out
from aotd.runtime.progress import console

FLAGS = {"-v": logging.DEBUG, "--verbose": logging.DEBUG, "-q": logging.WARNING, "--quiet": logging.WARNING}


def take_level(words: list[str]) -> tuple[int, list[str]]:
    """How much is to be said, and the words without those that ask for it.

    Raises:
        UserError: more and less is asked for.
    """
    levels = {FLAGS[word] for word in words if word in FLAGS}
    if len(levels) > 1:
        raise UserError("-v and -q do not go together: -v says more, -q less")
    return levels.pop() if levels else logging.INFO, [word for word in words if word not in FLAGS]


def configure(level: int) -> None:
    """Send what the package says to standard error, from a level on."""
    logger = logging.getLogger("aotd")
    logger.setLevel(level)
    logger.handlers = [_Lines()]


class _Lines(logging.Handler):
    """Each message as one line, however wide the terminal is, above a progress bar that is there.

    Rich's own handler breaks lines at the width of the terminal, so that a file of messages cannot be searched.
    """

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"aotd: {text}"
        elif record.levelno < logging.INFO:
            text = f"{record.name}: {text}"
        style = "dim" if record.levelno < logging.INFO else None
        console.print(spelt_out(text), style=style, soft_wrap=True)
