"""Overlap of spans of time, and of boxes, by which specialists and rationales are scored.

Spans are half-open `[start, end)`, all in seconds or all in frames; boxes are xyxy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotd.records import Box

Span = tuple[float, float]
Intervals = list[Span]


def union(spans: Sequence[Span]) -> Intervals:
    """Half-open spans as disjoint ascending intervals; empty ones are left out."""
    merged: Intervals = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def shared(a: Intervals, b: Intervals) -> float:
    """How long two sets of disjoint intervals overlap."""
    return sum(max(0.0, min(a1, b1) - max(a0, b0)) for a0, a1 in a for b0, b1 in b)


def length(spans: Intervals) -> float:
    """How long disjoint intervals are together."""
    return sum(end - start for start, end in spans)


def iou_and_recall(named: Sequence[Span], true: Sequence[Span]) -> tuple[float, float]:
    """IoU of the named spans with the true ones, and the share of the true ones that is covered; 0 where none is."""
    ours, theirs = union(named), union(true)
    both, whole = shared(ours, theirs), length(theirs)
    if not whole:
        return 0.0, 0.0
    return both / (length(ours) + whole - both), both / whole


def moment_scores(named: Span | None, true: Sequence[Span]) -> tuple[float, float]:
    """Scores of one moment that was named for a query: what a temporal grounder is selected by (paper, Table 1).

    Args:
        named: the most confident window; None where none was found, which scores 0.
        true: the annotated windows; a query may have several.

    Returns:
        IoU with the true window that fits best (as QVHighlights and its kin count their top-1 mean IoU), and
        the share of all true windows that it covers.
    """
    if named is None or not true:
        return 0.0, 0.0
    return max(iou_and_recall([named], [window])[0] for window in true), iou_and_recall([named], true)[1]


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union; a box of no area has none with any."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    whole = sum(areas) - width * height
    return width * height / whole if whole > 0 else 0.0


def apart(boxes: Sequence[Box], most: float) -> list[int]:
    """Positions of the boxes that stay when none may overlap an earlier one that stays by more than `most` (IoU)."""
    if most >= 1:
        return list(range(len(boxes)))
    corners = np.asarray(boxes, dtype=float).reshape(-1, 4)
    areas = (corners[:, 2:] - corners[:, :2]).clip(0).prod(axis=1)
    kept, rest = list[int](), np.arange(len(boxes))
    while len(rest):
        first, rest = int(rest[0]), rest[1:]
        kept.append(first)
        low = np.maximum(corners[rest, :2], corners[first, :2])
        high = np.minimum(corners[rest, 2:], corners[first, 2:])
        both = (high - low).clip(0).prod(axis=1)
        # Both sides times the union, so that boxes of no area need no case of their own.
        rest = rest[both <= most * (areas[rest] + areas[first] - both)]
    return kept
