"""A readers–writer lock, and the one that models are asked and loaded under."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadersWriterLock:
    """A lock that many threads hold together for reading, or one alone for writing. Writers go first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: set[int] = set()
        """Threads that hold the lock."""
        self._writers = 0
        """Threads that write, or wait to."""

    @contextmanager
    def read(self) -> Iterator[None]:
        """Hold the lock beside other readers. A thread may not read twice at once."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._writers)
            self._holders.add(me)
        try:
            yield
        finally:
            with self._changed:
                self._holders.discard(me)
                self._changed.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Hold the lock alone, once all readers have left.

        A reader that wants to write gives up its place meanwhile, so that two of them do not wait for each other.
        """
        me = threading.get_ident()
        with self._changed:
            was_reader = me in self._holders
            self._holders.discard(me)
            self._writers += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._holders)
            self._holders.add(me)  # the next writer waits for this one
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                if not was_reader:
                    self._holders.discard(me)
                self._changed.notify_all()


MODEL_LOCK = ReadersWriterLock()
"""Models are asked by several threads together (readers), and weights are loaded by one alone (the writer).

While transformers loads a model, it sets torch's default type for the whole process: a model that was asked meanwhile
would compute in another type."""
