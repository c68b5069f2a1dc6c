"""A window of things that worker processes make: some new ones come in at each step, and the oldest go.

What a step sees depends on its number alone: not on how many processes there are, nor on where a run was stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD = 16
"""Things that are made before they are asked for; bounds what is in memory."""


class Window(Generic[T]):
    """The things numbered `0, 1, 2, …` that a step may draw from."""

    def __init__(self, make: Callable[[int], T], pool: Executor, *, first: int, per_step: int, size: int) -> None:
        """
        Args:
            make: makes a thing of its number, in another process.
            first: how many step 0 sees.
            per_step: how many more each later step sees.
            size: how many a step sees at most.
        """
        self._make, self._pool = make, pool
        self._first, self._per_step, self._size = first, per_step, size
        self._things: deque[T] = deque()
        self._begin = self._end = self._asked = 0
        self._waiting: deque[Future[T]] = deque()

    def at(self, step: int) -> deque[T]:
        """The things of a step. Steps are asked for in their order, from any on."""
        end = self._first + self._per_step * step
        begin = max(0, end - self._size)
        if not self._things:
            self._begin = self._end = self._asked = begin
        while self._end < end:
            self._ask_ahead()
            self._things.append(self._waiting.popleft().result())
            self._end += 1
        self._ask_ahead()
        while self._begin < begin:
            self._things.popleft()
            self._begin += 1
        return self._things

    def _ask_ahead(self) -> None:
        while len(self._waiting) < _AHEAD:
            self._waiting.append(self._pool.submit(self._make, self._asked))
            self._asked += 1
