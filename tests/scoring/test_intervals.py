"""Intervals and tests, on predictions whose true accuracy is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from aotd.scoring.intervals import estimate, flip_test

TRIALS = 600
FEW = 0.93, 0.97
"""The share of 95 % intervals that must cover the truth."""


def clustered(rng: np.random.Generator, videos: int, accuracy: float, alike: float) -> tuple[list[bool], list[int]]:
    """Answers to 1 to 9 questions of each video; `alike` is the correlation between answers to one video."""
    spread = (1 - alike) / alike
    easy = rng.beta(accuracy * spread, (1 - accuracy) * spread, videos)
    about = np.repeat(np.arange(videos), rng.integers(1, 10, videos))
    return list(rng.random(len(about)) < easy[about]), list(about)


def slowly(*values: float) -> Any:
    """One more setting of a simulation, for `make test-slow`."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("questions", "accuracy"), [(60, 0.5), (150, 0.27), slowly(250, 0.92)])
def test_estimate_covers_the_true_accuracy(questions: int, accuracy: float) -> None:
    rng, covered = np.random.default_rng(1), 0
    for trial in range(TRIALS):
        found = estimate(rng.random(questions) < accuracy, 500, trial)
        assert found is not None
        covered += found.low <= accuracy <= found.high
    assert FEW[0] <= covered / TRIALS <= FEW[1]


@pytest.mark.parametrize(("videos", "accuracy"), [(25, 0.6), slowly(60, 0.88)])
def test_estimate_covers_it_where_questions_of_a_video_correlate(videos: int, accuracy: float) -> None:
    rng, covered, naive = np.random.default_rng(2), 0, 0
    for trial in range(TRIALS):
        right, about = clustered(rng, videos, accuracy, 0.4)
        found, without = estimate(right, 500, trial, about), estimate(right, 500, trial)
        assert found is not None
        assert without is not None
        covered += found.low <= accuracy <= found.high
        naive += without.low <= accuracy <= without.high
    assert FEW[0] <= covered / TRIALS <= FEW[1]
    assert naive / TRIALS < 0.85  # which is why videos are drawn


def test_estimate_of_a_paired_difference_covers_it() -> None:
    rng, covered, better = np.random.default_rng(3), 0, 0.06
    for trial in range(TRIALS):
        easy, about = clustered(rng, 60, 0.5, 0.3)
        gained = rng.random(len(easy)) < 2 * better
        ours = np.where(easy, 1.0, gained)  # half of the questions are hard: that many can be gained
        found = estimate(ours - np.array(easy), 500, trial, about, difference=True)
        assert found is not None
        covered += found.low <= better <= found.high
    assert FEW[0] <= covered / TRIALS <= FEW[1]


@pytest.mark.slow
@pytest.mark.parametrize("questions_a_video", [slowly(1), 4])
def test_flip_test_raises_false_alarms_as_often_as_claimed(questions_a_video: int) -> None:
    rng, alarms, trials = np.random.default_rng(4), 0, 3000
    for _ in range(trials):
        about = np.repeat(np.arange(240 // questions_a_video), questions_a_video)
        # Two arms equally good over all videos, each with some that it does better as a whole.
        lean = rng.choice([-0.2, 0.2], 240 // questions_a_video)[about] if questions_a_video > 1 else 0.0
        ours, theirs = rng.random(240) < 0.6 + lean, rng.random(240) < 0.6 - lean
        alarms += flip_test([int(a) - int(b) for a, b in zip(ours, theirs, strict=True)], list(about)) < 0.05
    assert 0.04 <= alarms / trials <= 0.06


@pytest.mark.parametrize(("gained", "lost"), [(1, 0), (5, 5), (12, 4), (30, 11), (0, 9)])
def test_flip_test_is_mcnemars_mid_p_with_one_question_a_video(gained: int, lost: int) -> None:
    signs = [1] * gained + [-1] * lost + [0] * 7
    few, both = min(gained, lost), gained + lost
    mid = (
        1 - binom.pmf(few, both, 0.5) / 2
        if gained == lost
        else 2 * binom.cdf(few, both, 0.5) - binom.pmf(few, both, 0.5)
    )
    assert flip_test(signs, range(len(signs))) == pytest.approx(mid)


def test_flip_test_flips_questions_of_one_video_together() -> None:
    apart, together = flip_test([1] * 8, range(8)), flip_test([1] * 8, [0] * 8)
    assert apart == pytest.approx(2**-8)
    assert together == 0.5  # one video says nothing
    assert flip_test([0, 0, 1, -1], [0, 1, 2, 2]) == 1.0
    assert flip_test([1, 1, -1, -1, 1], ["a", "a", "a", "a", "b"]) == 0.5


def test_estimate_of_equal_values_is_not_certain() -> None:
    perfect = estimate([True] * 20, 100, 0)
    assert perfect is not None
    assert (perfect.low, perfect.high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    alone = estimate([True, False, True], 100, 0, ["v", "v", "v"])
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (pytest.approx(2 / 3), 0.0, 1.0)
    equal = estimate([0.0] * 20, 100, 0, difference=True)
    assert equal is not None
    assert equal.low < 0 < equal.high
    assert estimate([], 100, 0) is None
    assert estimate([np.nan], 100, 0) is None


def test_estimate_takes_a_share_rounded_past_one() -> None:
    found = estimate([1.0, 1 + 2e-16, 1 + 1e-12], 100, 0)
    assert found is not None
    assert found.mean == pytest.approx(1)
    assert found.high <= 1
    with pytest.raises(AssertionError, match="outside"):
        estimate([1.1, 0.2], 100, 0)


def test_estimate_widens_by_seeds_and_leaves_out_gaps() -> None:
    one, other = [0.0] * 30 + [1.0] * 10, [1.0] * 30 + [0.0] * 10
    both, single = estimate([one, other], 500, 0), estimate([0.0] * 20 + [1.0] * 20, 500, 0)
    assert both is not None
    assert single is not None
    assert both.mean == single.mean == 0.5
    assert both.high - both.low > single.high - single.low
    gaps = estimate([[0.5, np.nan, np.nan], [0.7, np.nan, 0.3]], 100, 0)
    assert gaps is not None
    assert (gaps.mean, gaps.n) == (pytest.approx(0.5), 2)


def test_estimate_does_not_depend_on_cached_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    said = [(rng.random((seeds, 40)) < 0.6, rng.integers(0, 9, 40)) for seeds in (1, 2, 1)]

    def all_of_them() -> list[Any]:
        return [estimate(values, 200, seed, list(videos)) for values, videos in said for seed in (0, 1, 0)]

    kept = all_of_them()
    monkeypatch.setattr("aotd.scoring.intervals._KEPT", 0)
    assert all_of_them() == kept
    assert len(set(kept)) == 6
