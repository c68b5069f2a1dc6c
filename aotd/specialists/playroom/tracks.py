"""What is where in every sampled frame of a video: things by colour and contour, people by their shirts.

A video is looked at once and the outcome kept for the questions that follow about it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from scipy import ndimage

from aotd.datasets.playroom.things import COUNTED, SHIRTS, THINGS, Thing
from aotd.records import Box
from aotd.specialists.playroom.colours import INDEX, Labels, classify
from aotd.video.clip import Pixels, Video

Mask = NDArray[np.bool_]

_SHOWN = 0.1
"""A patch smaller than this share of its class's box is a blend of other colours, not the thing."""
_SEEN = 0.25
"""A class counts as being there only where a patch has once been this large."""
_DENSE = 0.2
"""A patch that covers less of its own box is a rim or a sprinkle."""
_CLEAR = 0.25
"""Share of the place of its inside that must be clear to see for telling open from closed."""
_KEPT = 4
"""Videos whose tracks are kept."""
_IN_FRAME = np.zeros((3, 3, 3), dtype=bool)
_IN_FRAME[1] = True
"""Patches grow within a frame, never from one frame into the next."""


def _any_of(*names: str) -> Mask:
    """Table over colour indices: whether a colour is one of these."""
    table = np.zeros(256, dtype=bool)
    table[[INDEX[name] for name in names]] = True
    return table


_BLACK, _BRIGHT = _any_of("dark", "hair"), _any_of("bright")
_HEAD, _LEGS = _any_of("skin", "hair"), _any_of("trousers", "dark", "hair")


@dataclass(frozen=True)
class ColourPatch:
    """One patch of colour taken for a thing in one frame."""

    box: Box
    pixels: int

    @property
    def x(self) -> float:
        return (self.box[0] + self.box[2]) / 2

    @property
    def y(self) -> float:
        return (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Body:
    """One person in one frame."""

    box: Box
    x: float
    """Middle of the torso."""
    shoulder: float
    hands: tuple[tuple[float, float], ...]
    """Middles of the patches of skin that are not the head."""

    @property
    def top(self) -> float:
        return self.box[1]

    @property
    def feet(self) -> float:
        return self.box[3]


@dataclass(frozen=True)
class Look:
    """All that is seen in a video."""

    frames: int
    seconds: float
    """How long one sampled frame stands for."""
    things: dict[str, list[list[ColourPatch]]]
    """Class -> per frame what is found of it, the largest first."""
    people: list[dict[int, Body]]
    """Per person: frame -> body, where seen."""
    open: dict[str, list[bool | None]] = field(default_factory=dict)
    """Class that can be opened -> per frame whether it is open; None where that cannot be seen."""

    def several(self, name: str) -> bool:
        """Whether there is usually more than one of a class to be seen."""
        counts = sorted(len(found) for found in self.things[name] if found)
        return bool(counts) and counts[len(counts) // 2] > 1

    def one(self, name: str) -> dict[int, ColourPatch]:
        """Frame -> the thing, for a class that comes once."""
        return {frame: found[0] for frame, found in enumerate(self.things[name]) if found}


_LOOKS: LRUCache[int, tuple[weakref.ref[Pixels], Look]] = LRUCache(_KEPT)


def look(video: Video) -> Look:
    """Everything seen in a video; looked at once while it is among the last few asked about.

    Raises:
        QuestionError: `video_unreadable`.
    """
    pixels = video.pixels()
    key = id(pixels)
    if key not in _LOOKS or _LOOKS[key][0]() is not pixels:
        _LOOKS[key] = (weakref.ref(pixels), _look(pixels, (video.end_s - video.start_s) / len(pixels)))
    return _LOOKS[key][1]


def _look(pixels: Pixels, seconds: float) -> Look:
    labels = classify(pixels)
    counts = np.bincount(labels.ravel(), minlength=len(INDEX) + 1)
    things: dict[str, list[list[ColourPatch]]] = {}
    states: dict[str, list[bool | None]] = {}
    for name, thing in THINGS.items():
        if counts[INDEX[name]] < _SEEN * thing.size[0] * thing.size[1]:
            continue
        found = _find(labels == INDEX[name], thing)
        if found is None:
            continue
        things[name] = found
        if thing.openable:
            states[name] = _states(labels, found, thing)
    people = [body for number in range(len(SHIRTS)) if (body := _person(labels, INDEX[f"shirt {number}"]))]
    return Look(len(labels), seconds, things, people, states)


def _find(mask: Mask, thing: Thing) -> list[list[ColourPatch]] | None:
    """Per frame the things of a class; None where no patch is ever large enough."""
    width, height = thing.size
    patches = _patches(mask, 5, int(_SHOWN * width * height))
    if max((patch.pixels for frame in patches for patch in frame), default=0) < _SEEN * width * height:
        return None
    if thing.name in COUNTED:
        large = [[patch for patch in frame if patch.pixels >= 0.3 * width * height] for frame in patches]
        counts = sorted(len(frame) for frame in large if frame)
        if counts and counts[len(counts) // 2] > 1:
            return large
    joined = [_joined(frame, width, height) for frame in patches]
    if thing.place != "floor":
        joined = _settled(joined)
    return [[patch] if patch else [] for patch in joined]


def _patches(mask: Mask, gap: int, least: int) -> list[list[ColourPatch]]:
    """Per frame the connected patches of a mask `[frames, h, w]` of `least` pixels or more, the largest first.

    Gaps narrower than `gap` pixels (odd) are bridged.
    """
    found: list[list[ColourPatch]] = [[] for _ in mask]
    rows, columns = np.flatnonzero(mask.any(axis=(0, 2))), np.flatnonzero(mask.any(axis=(0, 1)))
    if not rows.size:
        return found
    top, left, rim = max(int(rows[0]) - gap, 0), max(int(columns[0]) - gap, 0), gap // 2
    part = mask[:, top : rows[-1] + gap, left : columns[-1] + gap]
    bridged = ndimage.maximum_filter(part.view(np.uint8), size=(1, gap, gap)) if gap > 1 else part
    numbered, _ = ndimage.label(bridged, structure=_IN_FRAME)
    pixels = np.bincount(numbered[part])
    for number, place in enumerate(ndimage.find_objects(numbered), start=1):
        if number >= len(pixels) or pixels[number] < least:
            continue
        frame, ys, xs = place
        if pixels[number] < _DENSE * (ys.stop - ys.start - 2 * rim) * (xs.stop - xs.start - 2 * rim):
            continue
        box = (left + xs.start + rim, top + ys.start + rim, left + xs.stop - rim, top + ys.stop - rim)
        found[frame.start].append(
            ColourPatch((float(box[0]), float(box[1]), float(box[2]), float(box[3])), int(pixels[number]))
        )
    return [sorted(frame, key=lambda patch: (-patch.pixels, patch.box)) for frame in found]


def _joined(patches: list[ColourPatch], width: int, height: int) -> ColourPatch | None:
    """Patches that together are no larger than the thing are parts of one thing that something stands before."""
    whole: ColourPatch | None = None
    for patch in patches:
        if whole is None:
            whole = patch
            continue
        box = _around(whole.box, patch.box)
        if box[2] - box[0] <= width * 1.15 + 3 and box[3] - box[1] <= height * 1.15 + 3:
            whole = ColourPatch(box, whole.pixels + patch.pixels)
    return whole


def _settled(track: list[ColourPatch | None]) -> list[ColourPatch | None]:
    """What cannot move has one box: its usual outer edges, also where somebody stands before it."""
    seen = [patch for patch in track if patch]
    if not seen:
        return track
    edges = np.array([patch.box for patch in seen])
    low, high = np.percentile(edges, 20, axis=0), np.percentile(edges, 80, axis=0)
    box = (float(low[0]), float(low[1]), float(high[2]), float(high[3]))
    return [ColourPatch(box, patch.pixels) if patch else None for patch in track]


def _states(labels: Labels, found: list[list[ColourPatch]], thing: Thing) -> list[bool | None]:
    """Per frame whether a thing is open; None where that cannot be seen."""
    if thing.place == "floor":
        boxes = [_whole(seen[0].box, thing) if seen else None for seen in found]
    else:  # furniture stays, also where a person hides its colour
        boxes = [next(seen[0].box for seen in found if seen)] * len(found)
    return [_is_open(frame, box, thing) if box else None for frame, box in zip(labels, boxes, strict=True)]


def _whole(box: Box, thing: Thing) -> Box:
    """The full box of a thing that stands on its visible lower edge."""
    middle, (width, height) = (box[0] + box[2]) / 2, thing.size
    return middle - width / 2, box[3] - height, middle + width / 2, box[3]


def _is_open(labels: NDArray[np.uint8], box: Box, thing: Thing) -> bool | None:
    """Whether the inside colour shows where it would."""
    part = next(part for part in thing.open_parts if part.role == "inside")
    (x1, y1, x2, y2), (fx1, fy1, fx2, fy2) = box, part.points[:4]
    wide, high = x2 - x1, y2 - y1
    rows = slice(max(round(y1 + fy1 * high) + 1, 0), max(round(y1 + fy2 * high), 0))
    columns = slice(max(round(x1 + fx1 * wide) + 1, 0), max(round(x1 + fx2 * wide), 0))
    shown = labels[rows, columns]
    inside = int((_BRIGHT if thing.inside[0] > 128 else _BLACK)[shown].sum())
    base = int((shown == INDEX[thing.name]).sum())
    if max(inside, base) < _CLEAR * shown.size or not shown.size:
        return None
    return inside > base


def _person(labels: Labels, shirt: int) -> dict[int, Body]:
    """Frame -> the person with this shirt, where the shirt is seen."""
    patches = _patches(labels == shirt, 5, 60)
    if max((frame[0].pixels for frame in patches if frame), default=0) < 250:
        return {}
    return {frame: _body(labels[frame], found[0], shirt) for frame, found in enumerate(patches) if found}


def _body(labels: Labels, torso: ColourPatch, shirt: int) -> Body:
    """The person around a torso: the head above it, the legs below, hands at the ends of the arms."""
    x1, y1, x2, y2 = (int(value) for value in torso.box)
    own = labels[y1:y2, x1:x2] == shirt
    columns = own.sum(axis=0)
    middle = x1 + int(np.searchsorted(np.cumsum(columns), columns.sum() / 2))
    left, right = max(middle - 11, 0), middle + 11
    core = own[:, max(left + 3 - x1, 0) : right - 3 - x1].any(axis=1)
    shoulder = y1 + (int(np.argmax(core)) if core.any() else 0)
    head = _HEAD[labels[max(shoulder - 30, 0) : shoulder, left:right]].sum(axis=1) >= 4
    top = max(shoulder - 30, 0) + int(np.argmax(head)) if head.any() else shoulder
    legs = _LEGS[labels[y2 : y2 + 46, left:right]].sum(axis=1) >= 3
    feet = y2 + (int(np.flatnonzero(legs)[-1]) + 1 if legs.any() else 0)
    near = (slice(max(y1 - 14, 0), y2 + 16), slice(max(x1 - 12, 0), x2 + 12))
    skin = _patches(labels[near][None] == INDEX["skin"], 1, 10)[0]
    hands = [
        (patch.x + near[1].start, patch.y + near[0].start)
        for patch in skin
        if patch.pixels <= 90
        and not (abs(patch.x + near[1].start - middle) < 10 and patch.y + near[0].start < shoulder + 2)
    ]
    sides = [float(x1), float(x2), *(x - 4 for x, _ in hands), *(x + 4 for x, _ in hands)]
    box = (min(*sides, middle - 11.0), float(top), max(*sides, middle + 11.0), float(max(feet, y2)))
    height, width = labels.shape
    box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height)))
    return Body(box, float(middle), float(shoulder), tuple(hands[:2]))


def _around(first: Box, second: Box) -> Box:
    return min(first[0], second[0]), min(first[1], second[1]), max(first[2], second[2]), max(first[3], second[3])
