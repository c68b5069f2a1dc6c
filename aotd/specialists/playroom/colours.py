"""Every pixel's nearest known colour: the first thing the specialists of playroom see."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aotd.datasets.playroom.things import DARK, FLOORS, HAIR, LIGHT, SHIRTS, SKIN, THINGS, TROUSERS, WALLS, Colour
from aotd.video.clip import Pixels

Labels = NDArray[np.uint8]
"""`[frames, height, width]`: index into `NAMES` of each pixel's colour, 0 where it is near none."""

_PALETTE: tuple[tuple[str, Colour], ...] = (
    *((thing.name, thing.colour) for thing in THINGS.values()),
    ("skin", SKIN),
    ("hair", HAIR),
    ("trousers", TROUSERS),
    *((f"shirt {number}", shirt) for number, shirt in enumerate(SHIRTS)),
    ("dark", DARK),
    ("bright", LIGHT),
    *((f"wall {number}", wall) for number, wall in enumerate(WALLS)),
    *((f"floor {number}", floor) for number, floor in enumerate(FLOORS)),
)
NAMES: tuple[str, ...] = ("", *(name for name, _ in _PALETTE))
INDEX: dict[str, int] = {name: index for index, name in enumerate(NAMES)}

_BITS = 5
_FARTHEST = 60.0
"""A pixel farther than this (RGB distance) from every known colour is left alone."""


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint8]:
    """Quantised colour -> index of the nearest known colour."""
    step = 1 << (8 - _BITS)
    levels = np.arange(step // 2, 256, step, dtype=np.float32)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    palette = np.array([colour for _, colour in _PALETTE], dtype=np.float32)
    distance = np.sqrt(((cube - palette) ** 2).sum(axis=2))
    nearest = distance.argmin(axis=1) + 1
    nearest[distance.min(axis=1) > _FARTHEST] = 0
    table: Labels = nearest.astype(np.uint8)
    return table


def classify(pixels: Pixels) -> Labels:
    """The nearest known colour of every pixel of `[frames, height, width, 3]`."""
    small = (pixels >> (8 - _BITS)).astype(np.uint16)
    code = (small[..., 0] << (2 * _BITS)) | (small[..., 1] << _BITS) | small[..., 2]
    labels: Labels = _table()[code]
    return labels
