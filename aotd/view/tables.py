"""The scores of a run as sheets of words: what `evaluate` and `show` print, and `report` draws."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aotd.records import Estimate
from aotd.scoring.intervals import percent
from aotd.scoring.tables import SHUFFLED, Comparison, JudgeAgreement, Scores
from aotd.view.cost_table import cost_table


@dataclass(frozen=True)
class Sheet:
    """A table in words."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """As many cells as heads, each."""
    words: int = 1
    """How many columns, from the left, hold words; the others hold figures."""
    ends: tuple[int, ...] = ()
    """Rows behind which a part of the sheet ends."""


def print_scores(console: Console, scores: Sequence[Scores]) -> None:
    """All that is told of the arms, the arms side by side first."""
    for sheet in (arms_sheet(scores), types_sheet(scores), *further_sheets(scores)):
        if sheet is not None:
            console.print(drawn(sheet))
    if (costs := cost_table(scores)) is not None:
        console.print(costs)


def printable(text: str) -> str:
    """Untrusted text without what a terminal would obey: escapes, other control characters, direction marks."""
    obeyed = {c for c in set(text) if c not in "\n\t" and unicodedata.category(c) in _OBEYED}
    return text.translate(dict.fromkeys(map(ord, obeyed), "\N{REPLACEMENT CHARACTER}")) if obeyed else text


_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def drawn(sheet: Sheet) -> Table:
    """A sheet for the terminal."""
    shown = Table(
        title=Text(printable(sheet.title), "table.title") if sheet.title else None, min_width=min(len(sheet.title), 76)
    )
    for number, head in enumerate(sheet.heads):
        shown.add_column(head, justify="left" if number < sheet.words else "right", overflow="fold")
    for number, row in enumerate(sheet.rows):
        shown.add_row(*(Text(printable(cell)) for cell in row), end_section=number in sheet.ends)
    return shown


def arms_sheet(scores: Sequence[Scores]) -> Sheet:
    """The arms side by side, in percent, each with its 95 % interval."""
    chance = next((one.chance for one in scores if one.chance is not None), None)
    rows = []
    lettered = any(one.choice_by_letter is not None for one in scores)
    shuffled = any(one.shuffled is not None for one in scores)
    for one in scores:
        gain = one.shuffled.multiple_choice if one.shuffled else None
        others = (gain.other if gain else None,) if shuffled else ()
        letters = (one.choice_by_letter,) if lettered else ()
        grounding = (one.temporal_iou, one.temporal_recall, one.spatial_iou)
        values = (one.multiple_choice, *others, *letters, one.open_ended, one.rationale_accuracy, *grounding)
        rows.append((one.arm, *(percent(value) for value in values)))
    return Sheet(
        "" if chance is None else f"accuracy in %; chance on multiple choice is {100 * chance:.1f}",
        (
            *("arm", "choice", *(("other video",) if shuffled else ()), *(("by letter",) if lettered else ())),
            *("open", "answer in rationale", "time IoU", "time recall", "box IoU"),
        ),
        tuple(rows),
    )


def types_sheet(scores: Sequence[Scores]) -> Sheet | None:
    """Accuracy by question type and by the benchmark's groups, in percent; None where there is one type, or none."""
    kinds = sorted({kind for one in scores for kind in one.by_type})
    groups = sorted({group for one in scores for group in one.by_group})
    if len(kinds) < 2:
        return None
    rows = [_of_kind(kind, [one.by_type.get(kind) for one in scores]) for kind in kinds]
    rows += [_of_kind(group, [one.by_group.get(group) for one in scores]) for group in groups]
    means = ("–" if one.by_type_mean is None else f"{100 * one.by_type_mean:.1f}" for one in scores)
    return Sheet(
        "accuracy by question type in %",
        ("type", "questions", *(one.arm for one in scores)),
        (*rows, ("mean of types", "", *means)),
        ends=(len(kinds) - 1,),
    )


def _of_kind(name: str, values: Sequence[Estimate | None]) -> tuple[str, ...]:
    return name, str(max(value.n for value in values if value)), *(percent(value) for value in values)


def further_sheets(scores: Sequence[Scores]) -> list[Sheet]:
    """What is told of some arms only; those sheets that have a row."""
    found = (
        shuffled_sheet(scores),
        grounded_sheet(scores),
        reasons_sheet(scores),
        readings_sheet(scores),
        judged_sheet(scores),
    )
    return [sheet for sheet in found if sheet is not None]


def shuffled_sheet(scores: Sequence[Scores]) -> Sheet | None:
    """The shuffled-video control, in percent; None where no arm was asked with other videos."""
    rows: list[tuple[str, ...]] = []
    ends = []
    for one in scores:
        told = {name: score for name, field in SHUFFLED.items() if (score := getattr(one.shuffled, field, None))}
        for number, (name, score) in enumerate(told.items()):
            gain = ("–", "0") if score.gain is None else (_signed(score.gain), str(score.gain.n))
            rows.append(("" if number else one.arm, name, percent(score.other), *gain))
        ends += [len(rows) - 1] if told else []
    heads = ("arm", "metric", "other video", "gain of the own", "questions")
    title = "shuffled-video control: asked with the video of another question, in %"
    return Sheet(title, heads, tuple(rows), words=2, ends=tuple(ends)) if rows else None


_GROUNDED = {
    "Acc@GQA": "acc_gqa",
    "Acc@QA": "acc_qa",
    "mIoP": "mean_iop",
    "IoP@0.3": "iop_30",
    "IoP@0.5": "iop_50",
    "mIoU": "mean_iou",
    "IoU@0.3": "iou_30",
    "IoU@0.5": "iou_50",
}


def grounded_sheet(scores: Sequence[Scores]) -> Sheet | None:
    """Answers grounded in time, in percent; None where no span is annotated, or no arm gives reasons."""
    told = {one.arm: one.grounded for one in scores if one.grounded}
    if not told:
        return None
    number = next(iter(told.values())).acc_qa.n
    rows = ((name, *(percent(getattr(own, field)) for own in told.values())) for name, field in _GROUNDED.items())
    return Sheet(f"answers grounded in time, over {number} questions with a span, in %", ("", *told), tuple(rows))


def reasons_sheet(scores: Sequence[Scores]) -> Sheet | None:
    """What rationales are worth beside the answers, in percent; None where no arm gives any."""
    rows = [
        (one.arm, percent(one.consistent), percent(one.borne_out), str(one.borne_out.n if one.borne_out else 0))
        for one in scores
        if one.consistent
    ]
    heads = ("arm", "same answer", "borne out", "of rationales")
    title = "rationales: the brief answer again, and borne out by the annotation, in %"
    return Sheet(title, heads, tuple(rows)) if rows else None


def readings_sheet(scores: Sequence[Scores]) -> Sheet | None:
    """How the accuracy on multiple choice moves with the reading of the replies; None where no arm tells."""
    rows = []
    for one in scores:
        if one.choice_strict is not None:
            missing = "–" if one.missing is None else str(one.missing)
            strict, lenient = percent(one.choice_strict), percent(one.choice_lenient)
            rows.append((one.arm, strict, str(one.unparsed_strict), lenient, str(one.unparsed_lenient), missing))
    heads = ("arm", "strict", "unread", "lenient", "unread", "unanswered")
    title = "multiple choice by how replies are read; unread and unanswered ones count as wrong"
    return Sheet(title, heads, tuple(rows)) if rows else None


def judged_sheet(scores: Sequence[Scores]) -> Sheet | None:
    """What the judges say of the arms; None where none was asked."""
    rows = []
    for one in scores:
        for by in one.judged:
            counts = str(by.judged), str(by.unread), str(by.waiting)
            rows.append((one.arm, by.judge, by.aspect, percent(by.accuracy), _marks(by.score), *counts))
    heads = ("arm", "judge", "aspect", "right", "score", "judged", "unread", "waiting")
    title = "judged open-ended answers; unread judgements count as wrong"
    return Sheet(title, heads, tuple(rows), words=3) if rows else None


def _marks(value: Estimate | None) -> str:
    return "–" if value is None else f"{value.mean:.1f} ({value.low:.1f}–{value.high:.1f})"


def agreement_sheet(found: Sequence[JudgeAgreement]) -> Sheet:
    """Pairs of judges."""
    rows = []
    for one in found:
        equal = "–" if one.same is None else f"{100 * one.same:.1f}"
        verdicts = str(one.verdicts), equal, _figure(one.kappa)
        scores = str(one.scores), _figure(one.difference), _figure(one.spearman)
        rows.append((one.arm, one.aspect, " / ".join(one.judges), *verdicts, *scores))
    heads = ("arm", "aspect", "judges", "verdicts", "equal", "kappa", "scores", "apart", "Spearman")
    title = "two judges of the same answers: equal verdicts in %, and how far their scores are apart"
    return Sheet(title, heads, tuple(rows), words=3)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def comparison_sheets(compared: Sequence[Comparison]) -> list[Sheet]:
    """Arms and metrics, in percent, each beside a reference on the same questions: a sheet for each reference."""
    return [
        _beside_one(reference, [one for one in compared if one.reference == reference])
        for reference in dict.fromkeys(one.reference for one in compared)
    ]


def _beside_one(reference: str, compared: Sequence[Comparison]) -> Sheet:
    several = " (means over seeds)" if any(one.seeds > 1 for one in compared) else ""
    # The reference has nothing in all columns but one, so it comes first.
    arms = sorted(dict.fromkeys(one.arm for one in compared), key=lambda arm: arm != reference)
    rows: list[tuple[str, ...]] = []
    ends = []
    for arm in arms:
        own = [one for one in compared if one.arm == arm]
        label = "reference" if arm == reference else arm
        names = [f"{label} ({own[0].seeds} seeds)" if own[0].seeds > 1 else label, *[""] * (len(own) - 1)]
        rows += [(name, one.metric, percent(one.mean), *_beside(one)) for name, one in zip(names, own, strict=True)]
        ends.append(len(rows) - 1)
    heads = ("arm", "metric", "mean", "difference", "gained", "lost", "p")
    title = f"beside {reference}, on the same questions, in %{several}"
    return Sheet(title, heads, tuple(rows), words=2, ends=tuple(ends))


def _beside(one: Comparison) -> tuple[str, ...]:
    difference = "–" if one.difference is None else _signed(one.difference)
    if one.p is None:
        return difference, "–", "–", "–"
    return difference, str(one.gained), str(one.lost), "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"


def _signed(value: Estimate) -> str:
    return f"{100 * value.mean:+.1f} ({100 * value.low:+.0f} to {100 * value.high:+.0f})"
