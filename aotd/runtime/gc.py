"""Python's garbage collector while modules are loaded, of which a verb that trains needs thousands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 10_000
"""Threshold of the youngest generation. Python's own is some hundreds, for programs that leave many reference cycles;
records form none."""


@contextmanager
def loading_modules() -> Iterator[None]:
    """Switch the garbage collector off while modules are loaded.

    Their million objects stay alive. Collecting among them would take a third of the loading time again, so they are
    also left out of later collections (`all_stays`).
    """
    gc.collect()  # garbage of before, such as a student, must not be frozen as well
    gc.disable()
    try:
        yield
    finally:
        all_stays()
        gc.enable()


def all_stays() -> None:
    """Freeze all objects that are there, and collect among later ones seldom."""
    gc.freeze()
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
