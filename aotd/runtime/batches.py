"""Questions in batches, as many at once as an engine likes to be given; no more than a batch is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def shown(verb: str, todo: Iterable[T], count: int) -> Iterable[T]:
    """What a verb has to do, with a bar of how much of it is done."""
    return track(todo, verb, total=count, console=Console(stderr=True))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size`, the last one shorter."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
