"""Arms over their seeds, paired by question."""

from __future__ import annotations

import pytest

from aotd.evaluate.compare import ArmPredictions, compare
from aotd.records import Evidence, EvidenceSpan, Mode, Prediction, Question
from aotd.scoring.tables import Comparison
from aotd.view.tables import comparison_sheets

ASKED = [
    Question(
        question_id=str(n), dataset="d", split="test", video_id=f"v{n}", video="v.mp4", question="Who?", type="T",
        answer="a", options=("a", "b") if n < 40 else (),
    )
    for n in range(50)
]  # fmt: skip


def said(right: set[int], spans: dict[int, float] | None = None) -> ArmPredictions:
    def one(n: int, mode: Mode) -> Prediction:
        iou = (spans or {}).get(n) if mode is Mode.rationale else None
        return Prediction(
            question_id=str(n), arm="x", mode=mode, text="", parsed=None, correct=n in right, temporal_iou=iou
        )

    return ArmPredictions([one(n, Mode.answer) for n in range(50)], [one(n, Mode.rationale) for n in range(50)])


def by(compared: list[Comparison], arm: str, metric: str) -> Comparison:
    return next(one for one in compared if (one.arm, one.metric) == (arm, metric))


def test_compare_gives_means_and_paired_differences() -> None:
    half, more = set(range(20)), set(range(28))
    students = {"instruct": [said(half), said(half)], "aotd": [said(more), said(more)]}
    compared = compare(ASKED, students, "instruct", students["instruct"], 500, 0)
    found = by(compared, "aotd", "choice")
    assert found.mean.mean == pytest.approx(28 / 40)
    assert found.mean.n == 40
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(8 / 40)
    # Paired by question: what both get right or wrong adds no spread.
    assert 0.05 < found.difference.low < 0.2 < found.difference.high < 0.36
    assert by(compared, "instruct", "choice").difference is None
    assert by(compared, "aotd", "open").mean.mean == 0


def test_compare_finds_no_difference_of_equal_arms_and_widens_by_seeds() -> None:
    one, other = set(range(10)), set(range(30))
    students = {"instruct": [said(one), said(other)], "aotd": [said(one), said(other)]}
    alike = compare(ASKED, students, "instruct", students["instruct"], 300, 0)
    difference = by(alike, "aotd", "choice").difference
    assert difference is not None
    assert difference.mean == 0
    assert -0.1 < difference.low < 0 < difference.high < 0.1
    alone = [said(set(range(20)))]
    single = compare(ASKED, {"instruct": alone}, "instruct", alone, 300, 0)[0].mean
    both = by(alike, "instruct", "choice").mean
    assert both.mean == single.mean
    assert both.high - both.low > single.high - single.low


def test_compare_leaves_out_metrics_without_values() -> None:
    students = {"instruct": [said(set())], "aotd": [said(set(), {3: 0.5, 4: 0.1})]}
    compared = compare(ASKED, students, "instruct", students["instruct"], 50, 0)
    assert [one.arm for one in compared if one.metric == "time IoU"] == ["aotd"]
    found = by(compared, "aotd", "time IoU")
    assert found.mean.mean == pytest.approx(0.3)
    assert found.mean.n == 2
    assert found.difference is None
    assert [len(sheet.rows) for sheet in comparison_sheets(compared)] == [len(compared)]


def test_compare_counts_flips_of_single_students() -> None:
    students = {"instruct": [said(set(range(20)))], "aotd": [said(set(range(2, 32)))]}
    compared = compare(ASKED, students, "instruct", students["instruct"], 200, 0)
    found = by(compared, "aotd", "choice")
    assert (found.gained, found.lost) == (12, 2)
    assert found.p == pytest.approx(0.0074, abs=1e-3)
    assert by(compared, "instruct", "choice").p is None
    (sheet,) = comparison_sheets(compared)
    row = next(row for row in sheet.rows if row[0] == "aotd")
    assert (row[1], row[4:]) == ("choice", ("12", "2", f"{found.p:.3f}"))
    assert row[3].startswith("+25.0 (+")
    assert sheet.rows[0][0] == "reference"


def test_compare_gives_arms_without_rationales_no_score_of_them() -> None:
    blind = [ArmPredictions(said({1}).answers, None)]
    compared = compare(ASKED, {"blind": blind, "aotd": [said({1})]}, "blind", blind, 50, 0)
    assert [one.arm for one in compared if one.metric == "answer in rationale"] == ["aotd"]
    assert by(compared, "aotd", "answer in rationale").difference is None


def test_compare_takes_grounded_answers_where_a_span_is_annotated() -> None:
    span = Evidence(spans=(EvidenceSpan(start_s=0, end_s=1),))
    asked = [question.model_copy(update={"evidence": span if n < 10 else None}) for n, question in enumerate(ASKED)]
    ours, theirs = said(set(range(50))), said(set(range(50)))
    fits = [one.model_copy(update={"moment_iop": 0.5}) for one in ours.rationales or ()]
    compared = compare(asked, {"aotd": [ArmPredictions([], fits)], "instruct": [theirs]}, "instruct", [theirs], 50, 0)
    found = by(compared, "aotd", "Acc@GQA")
    assert (found.mean.mean, found.mean.n, found.gained, found.lost) == (1.0, 10, 10, 0)
