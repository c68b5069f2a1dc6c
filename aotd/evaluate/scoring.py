"""Scores of one reply against the annotation (paper §4.4, Table 7), and means with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotd.answers import plain
from aotd.claims import TextBox, read_claims
from aotd.records import Box, Estimate, Evidence, EvidenceBox
from aotd.video.clip import frame_times, span_seconds

Intervals = list[tuple[float, float]]


def union(spans: Sequence[tuple[float, float]]) -> Intervals:
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


def temporal(text: str, evidence: Evidence, frames: int, start_s: float, end_s: float) -> tuple[float, float] | None:
    """IoU and recall of all spans in a text with all true spans, in seconds.

    Args:
        frames, start_s, end_s: how many frames were sampled, and the part of the video they stand for.

    Returns:
        None where the text names no span or none is annotated.
    """
    spans = read_claims(text).spans
    true = union([(span.start_s, span.end_s) for span in evidence.spans])
    if not spans or not true:
        return None
    said = union(
        [span_seconds(min(s.start, frames), min(max(s.end, 0), frames), start_s, end_s, frames) for s in spans]
    )
    both, length = shared(said, true), sum(end - start for start, end in true)
    return both / (sum(end - start for start, end in said) + length - both), both / length


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union; a box of no area has none with any."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    whole = sum(areas) - width * height
    return width * height / whole if whole > 0 else 0.0


def spatial(text: str, evidence: Evidence, frames: int, start_s: float, end_s: float) -> float | None:
    """Mean IoU of the boxes in a text with the true box of the same thing nearest in time.

    Where several of one label are annotated at that moment, the best counts. A box without a frame or
    of a thing that is not annotated cannot be scored; None where that leaves none.
    """
    times = frame_times(start_s, end_s, frames)
    found = []
    for box in read_claims(text).boxes:
        true = [other for other in evidence.boxes if _same_thing(box, other)]
        if box.frame is None or box.frame >= frames or not true:
            continue
        moment = times[box.frame]
        nearest = min(abs(other.time_s - moment) for other in true)
        found.append(max(box_iou(box.box, t.box) for t in true if abs(t.time_s - moment) <= nearest + 1e-6))
    return sum(found) / len(found) if found else None


def _same_thing(box: TextBox, true: EvidenceBox) -> bool:
    """Whether the true label is one of those said; a label like `cup/glass/bottle` has several names."""
    if box.label is None:
        return False
    label = plain(true.label)
    said = [plain(part) for part in box.label.split(",")]
    return any(one == label or one in label.split("/") or label in one.split("/") for one in said if one)


def estimate(values: Sequence[float | bool], resamples: int, seed: int) -> Estimate | None:
    """The mean and its 95 % interval by the percentile bootstrap over questions; None of no values."""
    if not values:
        return None
    numbers = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(numbers), (resamples, len(numbers)))
    low, high = np.quantile(numbers[drawn].mean(axis=1), (0.025, 0.975))
    return Estimate(mean=float(numbers.mean()), low=float(low), high=float(high), n=len(numbers))
