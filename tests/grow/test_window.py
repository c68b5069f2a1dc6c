"""What a step sees depends on its number alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from aotd.grow.window import Window


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def window(pool: Executor) -> Window[int]:
    return Window(lambda number: number, pool, first=5, per_step=2, size=8)


def test_window_grows_and_then_moves_on(pool: Executor) -> None:
    seen = window(pool)
    assert [list(seen.at(step)) for step in range(4)] == [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 6, 7, 8],
        [3, 4, 5, 6, 7, 8, 9, 10],
    ]


def test_window_that_begins_later_sees_the_same(pool: Executor) -> None:
    whole, resumed = window(pool), window(pool)
    expected = [list(whole.at(step)) for step in range(9)]
    assert [list(resumed.at(step)) for step in range(6, 9)] == expected[6:]


def test_failure_of_a_worker_reaches_the_step(pool: Executor) -> None:
    def fail(number: int) -> int:
        return 1 // (number - 3)

    with pytest.raises(ZeroDivisionError):
        Window(fail, pool, first=5, per_step=1, size=8).at(0)
