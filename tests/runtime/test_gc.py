"""Modules are loaded without a search for garbage, and what was garbage before is gone."""

from __future__ import annotations

import gc
import weakref

import pytest

from aotd.runtime.gc import SELDOM, loading_modules


class Student:
    """Refers to itself, as many a model does."""

    def __init__(self) -> None:
        self.itself = self


def test_loading_modules_disables_gc_and_freezes() -> None:
    with loading_modules():
        assert not gc.isenabled()
        module = {"as large as": ["a module"]}
    assert gc.isenabled()
    assert not any(one is module for one in gc.get_objects())


def test_loading_modules_raises_gc_threshold() -> None:
    with loading_modules():
        pass
    gone = weakref.ref(Student())
    some = [[number] for number in range(SELDOM // 2)]
    assert gone() is not None
    more = [[number] for number in range(SELDOM)]
    assert gone() is None, f"garbage stays beside {len(some) + len(more)} new objects"


def test_loading_modules_enables_gc_after_import_error() -> None:
    with pytest.raises(ImportError), loading_modules():
        import aotd.nowhere  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()


def test_loading_modules_collects_before_freezing() -> None:
    gone = weakref.ref(Student())
    with loading_modules():
        pass
    assert gone() is None
