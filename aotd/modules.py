"""Loading modules, of which a verb that trains needs some thousands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading_modules() -> Iterator[None]:
    """Modules are loaded in here, and nothing else is done.

    Their objects, a million of them, stay. So Python does not look through them for garbage, neither now, which takes
    a third of the time again, nor later.
    """
    gc.collect()  # what is done with must not stay as well: a student, say
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
