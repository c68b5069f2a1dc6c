"""Means with their intervals, tests of differences, and how they are shown.

Questions about one video stand or fall together, so the bootstrap draws whole videos. Its interval is
corrected for bias and skew (BCa: Efron, JASA 82(397), 1987), since accuracies near an end are skewed, and
widened by what a t interval is wider than a normal one (Hesterberg, The American Statistician 69(4), 2015),
since means drawn from a few videos lie too close together. Where every value is the same and at an end of
what it can be, no resample differs; then the interval reaches as far as the exact binomial one of as many
videos (Clopper and Pearson, Biometrika 26(4), 1934). benchmarks/coverage.py measures how often it holds.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

from aotd.records import Estimate

_MISS = 0.05
"""How often an interval may miss."""
_ROUNDED = 1e-9
"""How far a share of seconds may lie beyond 1."""


def estimate(
    values: ArrayLike,
    resamples: int,
    seed: int,
    videos: Sequence[Hashable] | None = None,
    *,
    difference: bool = False,
) -> Estimate | None:
    """The mean and its 95 % interval; None of no values.

    Args:
        values: `[questions]`, or `[seeds, questions]`, whose seeds are drawn as well; in [0, 1], or in [-1, 1]
            where they are differences. nan is no value.
        videos: the video of each question; None where every question stands by itself. Of a single video
            there is no interval: it is all that a mean can be.
    """
    rows = np.atleast_2d(np.asarray(values, dtype=float))
    there = ~np.isnan(rows)
    asked = there.any(axis=0)
    if not asked.any():
        return None
    lowest = -1.0 if difference else 0.0
    least, most = np.nanmin(rows), np.nanmax(rows)
    assert lowest - _ROUNDED <= least <= most <= 1 + _ROUNDED, f"values outside [{lowest:g}, 1]"
    rows = rows.clip(lowest, 1)
    found = rows[there]
    group = _numbered(range(rows.shape[1]) if videos is None else videos, asked)
    mean, many = float(found.mean()), int(group.max()) + 1
    if found.min() == found.max() and (mean in (0, 1) or difference):
        room = 1 - (_MISS / 2) ** (1 / many)
        low, high = max(lowest, mean - room), min(1.0, mean + room)
    elif many == 1:
        low, high = lowest, 1.0
    else:
        low, high = _interval(rows[:, asked], there[:, asked], group, resamples, seed)
    return Estimate(mean=mean, low=low, high=high, n=int(asked.sum()))


def _numbered(labels: Sequence[Hashable], wanted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The number of each wanted label, from 0 in the order in which they come."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one, is_ in zip(labels, wanted, strict=True) if is_])


def _interval(
    rows: NDArray[np.float64], there: NDArray[np.bool_], group: NDArray[np.intp], resamples: int, seed: int
) -> tuple[float, float]:
    """The interval of the mean of `rows` where `there`, widened BCa."""
    seeds, many = len(rows), int(group.max()) + 1
    sums = np.array([np.bincount(group, np.where(there[s], rows[s], 0.0), many) for s in range(seeds)])
    counts = np.array([np.bincount(group, there[s], many) for s in range(seeds)])
    draw = _kept_draws if resamples * many <= _KEPT else _draws
    videos, own = draw(many, seeds, resamples, seed)
    total, number = ((own * (videos @ part.T)).sum(axis=1) for part in (sums, counts))
    means = total[number > 0] / number[number > 0]
    mean = sums.sum() / counts.sum()
    bias = ndtri(np.clip(((means < mean).mean() + (means <= mean).mean()) / 2, 0.01, 0.99))
    # How much each video pulls at the mean; the third moment of that is the skew.
    pull = (sums - mean * counts).sum(axis=0)
    spread = (pull**2).sum()
    skew = np.clip((pull**3).sum() / (6 * spread**1.5), -0.25, 0.25) if spread else 0.0
    ends = bias + ndtri([_MISS / 2, 1 - _MISS / 2])
    wider = stdtrit(many - 1, 1 - _MISS / 2) / ndtri(1 - _MISS / 2) * np.sqrt(many / (many - 1))
    low, high = np.quantile(means, ndtr((bias + ends / (1 - skew * ends)) * wider))
    return float(low), float(high)


def _draws(many: int, seeds: int, resamples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each video is in each resample, `[resamples, many]`, and each seed, `[resamples, seeds]`."""
    rng = np.random.default_rng(seed)
    videos = rng.multinomial(many, np.full(many, 1 / many), resamples)
    return videos, rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)


_KEPT = 1 << 18
"""The most numbers of draws that are kept for the next arm and measure; they take longer than all the rest."""
_kept_draws = lru_cache(maxsize=32)(_draws)


def flip_test(differences: Sequence[int], videos: Sequence[Hashable]) -> float:
    """Two-sided p that neither of two arms is better, where each question says 1, 0 or -1.

    If neither is, each video could as well have come out the other way round. Exact over all such flips,
    and mid-p (half the weight of what is as extreme as what was seen), for the exact test raises false
    alarms too seldom. With one question a video it is McNemar's mid-p test (Fagerland, Lydersen and Laake,
    BMC Medical Research Methodology 13:91, 2013).
    """
    totals: dict[Hashable, int] = {}
    for video, one in zip(videos, differences, strict=True):
        totals[video] = totals.get(video, 0) + one
    steps = [abs(total) for total in totals.values() if total]
    if not steps:
        return 1.0  # half the weight of all there is would look like a hint
    reach = sum(steps)
    odds = np.zeros(2 * reach + 1)
    odds[reach] = 1.0
    for step in steps:
        odds = (np.roll(odds, step) + np.roll(odds, -step)) / 2  # what rolls over an end is still 0
    size = np.abs(np.arange(-reach, reach + 1))
    seen = abs(sum(totals.values()))
    return float(min(1.0, odds[size > seen].sum() + odds[size == seen].sum() / 2))


def percent(value: Estimate | None) -> str:
    """`53.1 (51–55)`: the mean and its interval in percent."""
    return "–" if value is None else f"{100 * value.mean:.1f} ({100 * value.low:.0f}–{100 * value.high:.0f})"
