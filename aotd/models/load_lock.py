"""Many at a time, or one alone: for what must not happen while anybody else is at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Threads are in here together, or one of them is alone. Who wants to be alone goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: set[int] = set()
        """Threads."""
        self._alone = 0
        """Who is alone, or waits to be."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Beside others. Not one inside another."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._inside.add(me)
        try:
            yield
        finally:
            with self._changed:
                self._inside.discard(me)
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Without others: those who are inside are waited for. Who is inside too gives up its place meanwhile, so that
        two of them do not wait for each other."""
        me = threading.get_ident()
        with self._changed:
            was_inside = me in self._inside
            self._inside.discard(me)
            self._alone += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._inside)
            self._inside.add(me)  # the next one who wants to be alone waits for this one
        try:
            yield
        finally:
            with self._changed:
                self._alone -= 1
                if not was_inside:
                    self._inside.discard(me)
                self._changed.notify_all()
