"""An arm's predictions as scores, and the arms side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from aotd.answers import parse
from aotd.estimate import estimate, percent
from aotd.records import Estimate, Prediction, Question, Scores


def score(
    arm: str,
    asked: Sequence[Question],
    answers: Sequence[Prediction],
    rationales: Sequence[Prediction] | None,
    resamples: int,
    seed: int,
) -> Scores:
    """The scores of an arm over the questions with a known answer; one without a prediction counts as wrong.

    Args:
        rationales: its replies behind the rationale suffix; None for an arm that gives no reasons.
    """
    labelled = [question for question in asked if question.answer is not None]
    right = {said.question_id: bool(said.correct) for said in answers}

    def accuracy(of: Sequence[Question], by: dict[str, bool]) -> Estimate | None:
        return estimate([by.get(question.question_id, False) for question in of], resamples, seed)

    choice = [question for question in labelled if question.options]
    replies = {said.question_id: said.text for said in answers}
    read = {q.question_id: parse(replies[q.question_id], q.options) for q in choice if q.question_id in replies}
    true = {question.question_id: question.answer for question in choice}
    by_type = {}
    for kind in sorted({question.type for question in labelled}):
        of_kind = accuracy([question for question in labelled if question.type == kind], right)
        assert of_kind is not None
        by_type[kind] = of_kind
    marked = {q.question_id for q in asked if q.evidence and (q.evidence.spans or q.evidence.boxes)}
    reasons = [said for said in rationales or () if said.question_id in marked]
    ends = {said.question_id: bool(said.correct) for said in rationales or ()}

    def mean(name: str) -> Estimate | None:
        return estimate([v for said in reasons if (v := getattr(said, name)) is not None], resamples, seed)

    return Scores(
        arm=arm,
        chance=sum(1 / len(question.options) for question in choice) / len(choice) if choice else None,
        multiple_choice=accuracy(choice, right),
        open_ended=accuracy([question for question in labelled if not question.options], right),
        by_type=by_type,
        rationale_accuracy=None if rationales is None else accuracy(labelled, ends),
        temporal_iou=mean("temporal_iou"),
        temporal_recall=mean("temporal_recall"),
        spatial_iou=mean("spatial_iou"),
        rationales=0 if rationales is None else len(marked),
        rationales_with_span=sum(said.temporal_iou is not None for said in reasons),
        rationales_with_box=sum(said.spatial_iou is not None for said in reasons),
        choice_strict=accuracy(choice, {key: parsed.strict == true[key] for key, parsed in read.items()}),
        choice_lenient=accuracy(choice, {key: parsed.option == true[key] for key, parsed in read.items()}),
        unparsed_strict=sum(parsed.strict is None for parsed in read.values()),
        unparsed_lenient=sum(parsed.option is None for parsed in read.values()),
    )


def table(scores: Sequence[Scores]) -> Table:
    """The arms side by side, in percent, each with its 95 % interval."""
    chance = next((one.chance for one in scores if one.chance is not None), None)
    shown = Table(title=None if chance is None else f"accuracy in %; chance on multiple choice is {100 * chance:.1f}")
    heads = ("arm", "choice", "open", "answer in rationale", "time IoU", "time recall", "box IoU")
    for head in heads:
        shown.add_column(head, justify="left" if head == "arm" else "right")
    for one in scores:
        shown.add_row(
            one.arm,
            percent(one.multiple_choice),
            percent(one.open_ended),
            percent(one.rationale_accuracy),
            percent(one.temporal_iou),
            percent(one.temporal_recall),
            percent(one.spatial_iou),
        )
    return shown


def readings(scores: Sequence[Scores]) -> Table | None:
    """How the accuracy on multiple choice moves with the reading of the replies; None where no arm tells."""
    told = [one for one in scores if one.choice_strict is not None]
    if not told:
        return None
    shown = Table(title="multiple choice by how replies are read; unread ones count as wrong")
    for head in ("arm", "strict", "unread", "lenient", "unread"):
        shown.add_column(head, justify="left" if head == "arm" else "right")
    for one in told:
        counts = str(one.unparsed_strict), str(one.unparsed_lenient)
        shown.add_row(one.arm, percent(one.choice_strict), counts[0], percent(one.choice_lenient), counts[1])
    return shown
