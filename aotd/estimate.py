"""Means with their intervals, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotd.records import Estimate


def estimate(values: Sequence[float | bool], resamples: int, seed: int) -> Estimate | None:
    """The mean and its 95 % interval by the percentile bootstrap over questions; None of no values."""
    if not values:
        return None
    numbers = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(numbers), (resamples, len(numbers)))
    low, high = np.quantile(numbers[drawn].mean(axis=1), (0.025, 0.975))
    return Estimate(mean=float(numbers.mean()), low=float(low), high=float(high), n=len(numbers))


def percent(value: Estimate | None) -> str:
    """`53.1 (51–55)`: the mean and its interval in percent."""
    return "–" if value is None else f"{100 * value.mean:.1f} ({100 * value.low:.0f}–{100 * value.high:.0f})"
