"""The stretch of a clip around its most fitting moment, from one similarity per frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 6 / 32
"""Half-width, as a share of the video's frames, of the triangle that smooths the similarity over time."""
_PEAK_SHARE = 0.1
"""A span reaches as far as the smoothed similarity stays above mean + share * (peak - mean)."""


def around_peak(curve: NDArray[np.float32], frames: int) -> tuple[int, int]:
    """First and last position of the stretch around the highest point of the smoothed curve.

    Args:
        curve: similarity of each frame of a clip, `[n]`, n > 0.
        frames: how many frames the whole video has.
    """
    half = min(max(2, round(_SMOOTHING * frames)), (len(curve) + 1) // 2)
    kernel = half - np.abs(np.arange(1 - half, half))
    padded = np.pad(curve, half - 1, mode="edge")
    smooth = np.round(np.convolve(padded, kernel / kernel.sum(), mode="valid"), 4)
    peak = int(smooth.argmax())
    floor = smooth.mean() + _PEAK_SHARE * (smooth[peak] - smooth.mean())
    first = last = peak
    while first > 0 and smooth[first - 1] >= floor:
        first -= 1
    while last < len(smooth) - 1 and smooth[last + 1] >= floor:
        last += 1
    return first, last
