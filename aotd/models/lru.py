"""What a model computed from frames and from texts, cached so that each goes through it once.

A program asks about the same frames many times, and the expensive half of a model often does not depend on
what is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from cachetools import LRUCache

from aotd.video.clip import Clip

if TYPE_CHECKING:
    from torch import Tensor

BUDGET = 1 << 30
"""Bytes that one specialist caches of frames: about three videos of 32 frames for OWLv2 base in float32."""

Features = tuple["Tensor", ...]
"""The tensors of one frame or text."""


class FeatureLRU:
    """Features by what they are of: an LRU cache within a budget of bytes."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._cached: LRUCache[Hashable, Features] = LRUCache(budget, _bytes)
        self._most = 0
        """Bytes of the features that were asked for at once."""

    def each(self, keys: Sequence[Hashable], make: Callable[[list[int]], Iterable[Features]]) -> list[Features]:
        """Return the features of each key.

        Args:
            make: computes features for the positions in `keys` that are not cached, in that order; not called for
                none.
        """
        new = [at for at, key in enumerate(keys) if key not in self._cached and key not in keys[:at]]
        made = dict(zip((keys[at] for at in new), make(new), strict=True)) if new else {}
        # Read before others go, so that a budget smaller than what was asked for still gives all of it.
        result = [made[key] if key in made else self._cached[key] for key in keys]
        for key, features in zip(keys, result, strict=True):
            if key in self._cached:
                self._cached[key]  # used last
            elif _bytes(features) <= self._budget:
                self._cached[key] = features
        self._most = max(self._most, sum(map(_bytes, result)))
        return result

    def room(self) -> int:
        """Return how many times the largest request so far, which is a whole clip's, fits into the budget."""
        return self._budget // self._most if self._most else sys.maxsize


def frame_key(clip: Clip, number: int) -> Hashable:
    """Return what tells a frame, as a clip shows it, from every other one."""
    video = clip.video
    return video.content, video.start_s, video.end_s, video.frames, number, clip.crops.get(number)


def _bytes(features: Features) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in features)
