"""Models are asked by several threads, and weights are loaded while none of them asks.

While transformers loads a model it sets torch's default type and what begins weights, for the whole process: a model
that is asked meanwhile would compute in another type.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_changed = threading.Condition()
_asking: set[int] = set()
"""Threads that ask a model."""
_loads = 0
"""Who loads weights, or waits to."""


@contextmanager
def asking() -> Iterator[None]:
    """A thread asks a model in here; one that is not loaded yet is loaded meanwhile. Not one inside another."""
    me = threading.get_ident()
    with _changed:
        _changed.wait_for(lambda: not _loads)
        _asking.add(me)
    try:
        yield
    finally:
        with _changed:
            _asking.discard(me)
            _changed.notify_all()


@contextmanager
def loading_alone() -> Iterator[None]:
    """Weights are loaded in here, by one thread at a time; those who ask are waited for, but for the one who loads."""
    global _loads
    me = threading.get_ident()
    with _changed:
        asked = me in _asking
        _asking.discard(me)
        _loads += 1
        _changed.notify_all()
        _changed.wait_for(lambda: not _asking)
        _asking.add(me)  # so that the next one who loads waits for this one
    try:
        yield
    finally:
        with _changed:
            _loads -= 1
            if not asked:
                _asking.discard(me)
            _changed.notify_all()
