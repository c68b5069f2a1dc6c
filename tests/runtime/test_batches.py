"""Batches of what is streamed: no more is taken than is handed out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aotd.runtime.batches import batches
from aotd.runtime.progress import progress


def test_batches_hold_items_in_order() -> None:
    for size in range(1, 9):
        found = list(batches(range(7), size))
        assert [item for batch in found for item in batch] == list(range(7))
        assert {len(batch) for batch in found[:-1]} <= {size}


def test_batches_take_no_more_than_they_hand_out(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    for batch in batches(progress("count", numbers(), 1000), 3):
        assert len(taken) <= batch[-1] + 1
    assert len(taken) == 1000
    assert capsys.readouterr().out == ""
