"""Arms that were trained from several seeds: their means, and how they differ on the same questions.

The bootstrap draws questions and seeds anew, the same ones for every arm, so that a difference is paired
by question and by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aotd.records import Comparison, Estimate, Mode, Prediction, Question

METRICS = ("choice", "open", "answer in rationale", "time IoU", "time recall", "box IoU")


@dataclass(frozen=True)
class Said:
    """One student's predictions."""

    answers: Sequence[Prediction]
    rationales: Sequence[Prediction]


def compare(
    asked: Sequence[Question], students: Mapping[str, Sequence[Said]], reference: str, resamples: int, seed: int
) -> list[Comparison]:
    """Every arm and metric.

    Args:
        students: arm -> its students, one per seed, in the same order of seeds for every arm.
        reference: an arm of these.
    """
    found = []
    for metric in METRICS:
        values = {arm: np.array([_values(metric, asked, one) for one in many]) for arm, many in students.items()}
        base = values[reference]
        for arm, own in values.items():
            mean = _estimate(own, resamples, seed)
            if mean is None:
                continue
            difference = None if arm == reference or own.shape != base.shape else _estimate(own - base, resamples, seed)
            found.append(
                Comparison(
                    arm=arm, seeds=len(own), metric=metric, mean=mean, reference=reference, difference=difference
                )
            )
    return found


def _values(metric: str, asked: Sequence[Question], said: Said) -> list[float]:
    """One value per question; nan where the metric does not apply to it, or the student said nothing to score."""
    mode = Mode.answer if metric in ("choice", "open") else Mode.rationale
    by_question = {one.question_id: one for one in (said.answers if mode is Mode.answer else said.rationales)}
    values = []
    for question in asked:
        one = by_question.get(question.question_id)
        right = float(bool(one and one.correct))
        applies = question.answer is not None
        if metric == "choice":
            values.append(right if applies and question.options else np.nan)
        elif metric == "open":
            values.append(right if applies and not question.options else np.nan)
        elif metric == "answer in rationale":
            values.append(right if applies else np.nan)
        else:
            name = {"time IoU": "temporal_iou", "time recall": "temporal_recall", "box IoU": "spatial_iou"}[metric]
            value = getattr(one, name) if one else None
            values.append(np.nan if value is None else value)
    return values


def _estimate(values: NDArray[np.float64], resamples: int, seed: int) -> Estimate | None:
    """Mean of `[seeds, questions]` and its interval; None where nothing was scored."""
    scored = ~np.isnan(values)
    if not scored.any():
        return None
    rng = np.random.default_rng(seed)
    seeds, questions = values.shape
    drawn = []
    for _ in range(resamples):
        picked = values[rng.integers(0, seeds, seeds)][:, rng.integers(0, questions, questions)]
        if not np.isnan(picked).all():
            drawn.append(np.nanmean(picked))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(mean=float(np.nanmean(values)), low=float(low), high=float(high), n=int(scored.any(axis=0).sum()))


def comparison_table(compared: Sequence[Comparison]) -> Table:
    """Arms and metrics, in percent, with the difference from the reference below each."""
    reference = compared[0].reference
    shown = Table(title=f"mean over seeds in %, and below it the difference from {reference} (95 % intervals)")
    for head in ("arm", "seeds", *METRICS):
        shown.add_column(head, justify="left" if head == "arm" else "right")
    for arm in dict.fromkeys(one.arm for one in compared):
        own = {one.metric: one for one in compared if one.arm == arm}
        cells = [_cell(own.get(metric)) for metric in METRICS]
        shown.add_row(arm, str(next(iter(own.values())).seeds), *cells)
    return shown


def _cell(one: Comparison | None) -> str:
    if one is None:
        return "–"
    said = _percent(one.mean, "")
    return f"{said}\n{_percent(one.difference, '+')}" if one.difference else said


def _percent(value: Estimate, sign: str) -> str:
    return f"{100 * value.mean:{sign}.1f} ({100 * value.low:{sign}.0f}–{100 * value.high:{sign}.0f})"
