"""A cache of the least recently used values, bounded in bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cachetools import LRUCache

K = TypeVar("K")
V = TypeVar("V")


class ByteLRU(LRUCache[K, V]):
    """An LRU cache within a budget of bytes. The newest value always stays, also where it alone exceeds the budget."""

    def __init__(self, budget: int, size: Callable[[V], int]) -> None:
        """Args:
        budget: bytes; with none, the newest value stays alone.
        size: the bytes of a value.
        """
        room = max(budget, 1)
        super().__init__(room, lambda value: min(size(value), room))
