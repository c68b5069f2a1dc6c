"""Progress bars on standard error, for jobs that go through many items."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TypeVar

from rich.markup import escape
from rich.progress import track

from aotd.runtime.output import StandardConsole

T = TypeVar("T")

console = StandardConsole(stderr=True)
"""Standard error. Bars and messages go through the same console, so that a message stands above the bar."""


def bars_are_shown() -> bool:
    """Whether there is anyone to show them to: not with `-q`, and not where no command line was given."""
    return logging.getLogger("aotd").isEnabledFor(logging.INFO)


def progress(title: str, items: Iterable[T], total: int | None = None) -> Iterable[T]:
    """Items, with a bar of how many of them are done.

    Args:
        total: how many there are, where that cannot be asked of the items.
    """
    return track(items, escape(title), total=total, console=console, disable=not bars_are_shown())
