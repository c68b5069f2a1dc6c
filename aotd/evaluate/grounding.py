"""Scores of one reply against the annotation (paper §4.4, Table 7)."""

from __future__ import annotations

from aotd.records import Evidence, EvidenceBox
from aotd.scoring.answers import plain
from aotd.scoring.claims import TextBox, read_claims
from aotd.scoring.iou import Span, box_iou, iou_and_recall
from aotd.video.clip import frame_times, span_seconds

NEAR, FITS = 0.3, 0.5
"""From which IoP or IoU on a span or box counts as grounded (NExT-GQA's two thresholds)."""


def temporal(text: str, evidence: Evidence, frames: int, start_s: float, end_s: float) -> tuple[float, float] | None:
    """IoU and recall of all spans in a text with all true spans, in seconds.

    Args:
        frames, start_s, end_s: how many frames were sampled, and the part of the video they stand for.

    Returns:
        None where the text names no span or none is annotated.
    """
    named, true = _named_spans(text, frames, start_s, end_s), _true(evidence)
    return iou_and_recall(named, true) if named and true else None


def moment(text: str, evidence: Evidence, frames: int, start_s: float, end_s: float) -> tuple[float, float] | None:
    """IoU and IoP of the spans in a text, taken together, each with the true span that fits it best, in seconds.

    IoP is the share of the named spans that is true. NExT-GQA's definition (Xiao et al., CVPR 2024), whose answers
    have one span each; several spans are taken as their union here. A span of no length has 0 and 0.

    Returns:
        None where the text names no span or none is annotated.
    """
    named, true = _named_spans(text, frames, start_s, end_s), _true(evidence)
    if not named or not true:
        return None
    ious = [iou_and_recall(named, [window])[0] for window in true]
    # The share of the named spans that is covered: recall with the sides exchanged.
    iops = [iou_and_recall([window], named)[1] for window in true]
    return max(ious), max(iops)


def _named_spans(text: str, frames: int, start_s: float, end_s: float) -> list[Span]:
    """The spans in a text in seconds of the video; those that it gives in seconds count from the part's start."""
    claims, length = read_claims(text), end_s - start_s
    framed = ((min(s.start, frames), min(max(s.end, 0), frames)) for s in claims.spans)
    timed = ((min(s.start_s, length), min(s.end_s, length)) for s in claims.seconds)
    of_frames = [span_seconds(start, end, start_s, end_s, frames) for start, end in framed]
    return of_frames + [(start_s + start, start_s + end) for start, end in timed]


def _true(evidence: Evidence) -> list[Span]:
    return [(span.start_s, span.end_s) for span in evidence.spans if span.start_s < span.end_s]


def spatial(text: str, evidence: Evidence, frames: int, start_s: float, end_s: float) -> float | None:
    """Mean IoU of the boxes in a text with the true box of the same thing nearest in time.

    Where several of one label are annotated at that moment, the best counts. A box without a frame or
    of a thing that is not annotated cannot be scored; None where that leaves none.
    """
    times = frame_times(start_s, end_s, frames)
    ious = []
    for box in read_claims(text).boxes:
        true = [other for other in evidence.boxes if _same_thing(box, other)]
        if box.frame is None or box.frame >= frames or not true:
            continue
        time_s = times[box.frame]
        nearest = min(abs(other.time_s - time_s) for other in true)
        ious.append(max(box_iou(box.box, t.box) for t in true if abs(t.time_s - time_s) <= nearest + 1e-6))
    return sum(ious) / len(ious) if ious else None


def _same_thing(box: TextBox, true: EvidenceBox) -> bool:
    """Whether the true label is one of those in the text; a label like `cup/glass/bottle` has several names."""
    if box.label is None:
        return False
    label = plain(true.label)
    names = [plain(part) for part in box.label.split(",")]
    return any(name == label or name in label.split("/") or label in name.split("/") for name in names if name)
