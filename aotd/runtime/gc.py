"""Loading modules, of which a verb that trains needs some thousands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 10_000
"""So many new objects that may hold others are there before Python looks for garbage among them. Its own number is some
hundreds, for programs that leave much behind in circles; ours makes records, which do not, and keeps them."""


@contextmanager
def loading_modules() -> Iterator[None]:
    """Modules are loaded in here, and nothing else is done.

    Their objects, a million of them, stay. So Python does not look through them for garbage, neither now, which takes
    a third of the time again, nor later (`all_stays`).
    """
    gc.collect()  # what is done with must not stay as well: a student, say
    gc.disable()
    try:
        yield
    finally:
        all_stays()
        gc.enable()


def all_stays() -> None:
    """What is there by now are modules: Python looks for garbage among what comes later alone, and seldom."""
    gc.freeze()
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
