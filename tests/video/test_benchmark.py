"""`benchmarks/decode.py`: its ways show the same frames, and its figures are what they are said to be."""

from __future__ import annotations

import sys
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aotd.errors import UserError
from aotd.video.clip import frame_times
from benchmarks import decode
from benchmarks.decode import Layout


@pytest.mark.parametrize("uneven", [False, True])
def test_every_way_shows_the_same_frames(uneven: bool, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    decode.write(path, Layout(60, (96, 64), uneven, {"g": "20"}))
    starts = decode.shown(path)
    assert len(starts) == 60
    assert (len({round(after - before, 3) for before, after in pairwise(starts)}) > 9) == uneven
    moments = frame_times(0, starts[-1], 9)
    numbers = [bisect_right(starts, moment) - 1 for moment in moments]
    found = decode.ours(path, moments)
    assert found.shape == (9, 64, 96, 3)
    assert np.array_equal(found, decode.whole(path, numbers))
    assert np.array_equal(found, decode.seeks(path, numbers))


def test_frames_that_differ_are_counted() -> None:
    one = np.zeros((3, 2, 2, 3), np.uint8)
    other = one.copy()
    other[1, 0, 0, 0] = 1
    assert (decode.unlike(one, one), decode.unlike(one, other)) == (0, 1)


def test_the_ratio_is_of_the_sums() -> None:
    costs = {"a": {"ours": 1.0, "decord": 3.0}, "b": {"ours": 3.0, "decord": 3.0}}
    differs = {"a": {"ours": 0, "decord": 2}, "b": {"ours": 0, "decord": 0}}
    found = decode.summary(costs, differs)
    assert (found["cpu_ratio"], found["least_ratio"], found["mean_ratio"]) == (1.5, 1.0, 1.73)
    assert (found["identical"], found["decord_differs"]) == (True, {"a": 2})
    differs["b"]["ours"] = 1
    assert not decode.summary(costs, differs)["identical"]


def test_without_decord_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(UserError, match=r"aotd\[bench\]"):
        decode.decord_way()
