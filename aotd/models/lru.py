"""What a model made of frames and of texts, kept so that each goes through it once.

A program asks about the same frames many times, and the expensive half of a model often does not depend on
what is asked. What was idle longest goes first when the budget is full.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from aotd.video.clip import Clip

if TYPE_CHECKING:
    from torch import Tensor

BUDGET = 1 << 30
"""Bytes that one specialist keeps of frames: about three videos of 32 frames for OWLv2 base in float32."""

Features = tuple["Tensor", ...]
"""What is kept of one frame or text."""


class Kept:
    """Features by what they are of, within a budget of bytes."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._taken = 0
        self._most = 0
        """Bytes of the features that were asked for at once."""
        self._found: OrderedDict[Hashable, Features] = OrderedDict()

    def each(self, keys: Sequence[Hashable], make: Callable[[list[int]], Iterable[Features]]) -> list[Features]:
        """The features of each key.

        Args:
            make: features for the positions in `keys` that are not kept, in that order; not called for none.
        """
        new = [at for at, key in enumerate(keys) if key not in self._found and key not in keys[:at]]
        made = dict(zip((keys[at] for at in new), make(new), strict=True)) if new else {}
        # Found before others go, so that a budget smaller than what was asked for still gives all of it.
        result = [made[key] if key in made else self._found[key] for key in keys]
        for key, features in zip(keys, result, strict=True):
            if key in self._found:
                self._found.move_to_end(key)
            else:
                self._found[key] = features
                self._taken += _bytes(features)
        while self._taken > self._budget:
            self._taken -= _bytes(self._found.popitem(last=False)[1])
        self._most = max(self._most, sum(map(_bytes, result)))
        return result

    def room(self) -> int:
        """How often the most that was asked for at once, which is a whole clip's, can be kept beside each other."""
        return self._budget // self._most if self._most else sys.maxsize


def frame_key(clip: Clip, number: int) -> Hashable:
    """What tells a frame, as a clip shows it, from every other one."""
    video = clip.video
    return video.content, video.start_s, video.end_s, video.frames, number, clip.crops.get(number)


def _bytes(features: Features) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in features)
