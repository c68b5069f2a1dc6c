"""Arms compared with a reference on the same questions: means, differences, and how many questions flipped.

A difference is paired by question, and by seed where arms were trained from several. Intervals draw whole
videos, the same ones for both arms, and seeds. Arms of one seed are also counted question by question:
gained (right here, wrong in the reference), lost, and p of `aotd.scoring.intervals.flip_test`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aotd.evaluate.grounding import FITS
from aotd.records import Mode, Prediction, Question
from aotd.scoring.intervals import estimate, flip_test
from aotd.scoring.tables import Comparison
from aotd.store.stage import Stage

RIGHT = ("choice", "open", "answer in rationale", "Acc@GQA")
"""Metrics of which every question says right or wrong."""
METRICS = (*RIGHT, "time IoU", "time recall", "box IoU")


@dataclass(frozen=True)
class ArmPredictions:
    """One student's predictions."""

    answers: Sequence[Prediction]
    rationales: Sequence[Prediction] | None
    """None for an arm that gives no reasons."""
    reasoned: Collection[str] | None = None
    """The questions that it was asked for reasons; None: all."""

    @classmethod
    def of(cls, answers: Stage[Prediction], rationales: Stage[Prediction] | None) -> ArmPredictions:
        """Read them from an arm's stages. Whatever was asked for reasons is there, or was dropped."""
        if rationales is None:
            return cls(answers.records(), None)
        records = rationales.records()
        dropped = (line.question_id for line in rationales.stream_dropped())
        return cls(answers.records(), records, {*(record.question_id for record in records), *dropped})


def compare(
    questions: Sequence[Question],
    students: Mapping[str, Sequence[ArmPredictions]],
    reference: str,
    baseline: Sequence[ArmPredictions],
    resamples: int,
    seed: int,
) -> list[Comparison]:
    """Every arm and metric.

    Args:
        students: arm -> its students, one per seed, in the same order of seeds for every arm.
        reference: name of the arm that they are compared with.
        baseline: its students; where there are as many as an arm has, the two are compared.
    """
    videos = [(question.dataset, question.video_id) for question in questions]
    comparisons = []
    for metric in METRICS:
        reference_values = _values(metric, questions, baseline)
        for arm, of_arm in students.items():
            own = _values(metric, questions, of_arm)
            mean = estimate(own, resamples, seed, videos)
            if mean is None:
                continue
            difference, flips = None, None
            if of_arm is not baseline and own.shape == reference_values.shape:
                difference = estimate(own - reference_values, resamples, seed, videos, difference=True)
                if metric in RIGHT and len(of_arm) == 1 and difference is not None:
                    flips = _flips((own - reference_values)[0], videos)
            comparisons.append(
                Comparison(
                    arm=arm,
                    seeds=len(own),
                    metric=metric,
                    mean=mean,
                    reference=reference,
                    difference=difference,
                    gained=flips[0] if flips else None,
                    lost=flips[1] if flips else None,
                    p=flips[2] if flips else None,
                )
            )
    return comparisons


def _values(metric: str, questions: Sequence[Question], students: Sequence[ArmPredictions]) -> NDArray[np.float64]:
    """`[seeds, questions]`; nan where the metric does not apply to a question, or nothing can be scored."""
    return np.array([_of_student(metric, questions, student) for student in students])


def _of_student(metric: str, questions: Sequence[Question], student: ArmPredictions) -> list[float]:
    mode = Mode.answer if metric in ("choice", "open") else Mode.rationale
    predictions = student.answers if mode is Mode.answer else student.rationales
    if predictions is None:
        return [np.nan] * len(questions)
    by_question = {prediction.question_id: prediction for prediction in predictions}
    reasoned = student.reasoned if mode is Mode.rationale else None
    values = []
    for question in questions:
        if reasoned is not None and question.question_id not in reasoned:
            values.append(np.nan)
            continue
        prediction = by_question.get(question.question_id)
        right = float(bool(prediction and prediction.correct))
        applies = question.answer is not None
        if metric == "choice":
            values.append(right if applies and question.options else np.nan)
        elif metric == "open":
            values.append(right if applies and not question.options else np.nan)
        elif metric == "answer in rationale":
            values.append(right if applies else np.nan)
        elif metric == "Acc@GQA":
            grounded = right if prediction and (prediction.moment_iop or 0) >= FITS else 0.0
            values.append(grounded if applies and question.evidence and question.evidence.spans else np.nan)
        else:
            name = {"time IoU": "temporal_iou", "time recall": "temporal_recall", "box IoU": "spatial_iou"}[metric]
            value = getattr(prediction, name) if prediction else None
            values.append(np.nan if value is None else value)
    return values


def _flips(differences: NDArray[np.float64], videos: Sequence[tuple[str, str]]) -> tuple[int, int, float]:
    """How many questions were gained, how many lost, and p that neither arm is better."""
    scored = [(int(sign), video) for sign, video in zip(differences, videos, strict=True) if not np.isnan(sign)]
    signs, own = [sign for sign, _ in scored], [video for _, video in scored]
    return signs.count(1), signs.count(-1), flip_test(signs, own)
