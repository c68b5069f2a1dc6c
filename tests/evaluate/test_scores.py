"""An arm's accuracy under both readings of its replies."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from aotd.evaluate.scores import score
from aotd.records import Estimate, Evidence, EvidenceBox, EvidenceSpan, Mode, Prediction, Question
from aotd.scoring.answers import parse
from aotd.scoring.tables import ShuffledScores, VideoGain
from aotd.view.tables import (
    arms_sheet,
    further_sheets,
    grounded_sheet,
    print_scores,
    readings_sheet,
    reasons_sheet,
    shuffled_sheet,
    types_sheet,
)

OPTIONS = ("the book", "the bag")
REPLIES = {
    "a": "A",  # right under both
    "b": "The answer is A.",  # right leniently
    "c": "Answer: B",  # read leniently, and wrong
    "d": "A or B",  # read by neither
    "e": "",
    "f": "B",  # wrong under both
}


def question(key: str, options: tuple[str, ...] = OPTIONS, answer: str | None = "the book", **more: Any) -> Question:
    fields = {"dataset": "d", "type": "T", "video_id": key, **more}
    return Question(question_id=key, split="test", question="What?", options=options, answer=answer, **fields)


def said(key: str, text: str) -> Prediction:
    parsed = parse(text, OPTIONS)
    return Prediction(
        question_id=key, arm="x", mode=Mode.answer, text=text, parsed=parsed.strict, rule=parsed.rule.value,
        correct=parsed.strict == "the book",
    )  # fmt: skip


def test_score_gives_accuracy_under_both_readings() -> None:
    # `g` was never answered, `h` is open-ended, `i` has no known answer: none of them is a reply that cannot be read.
    asked = [*map(question, REPLIES), question("g"), question("h", ()), question("i", answer=None)]
    answers = [*(said(key, text) for key, text in REPLIES.items()), said("h", "?"), said("i", "?")]
    found = score("x", asked, answers, None, 50, 0)
    assert found.choice_strict is not None
    assert found.choice_lenient is not None
    assert found.multiple_choice == found.choice_strict
    assert (found.choice_strict.mean, found.choice_strict.n) == (1 / 7, 7)
    assert (found.choice_lenient.mean, found.choice_lenient.n) == (2 / 7, 7)
    assert (found.unparsed_strict, found.unparsed_lenient) == (4, 2)
    console = Console(width=100)
    with console.capture() as shown:
        print_scores(console, [found])
    row = next(line for line in shown.get().splitlines() if "28.6" in line)
    assert [cell.strip().split(" ")[0] for cell in row.strip("│").split("│")] == ["x", "14.3", "4", "28.6", "2", "1"]


def test_score_gives_accuracy_by_letter_beside_words() -> None:
    asked = [*map(question, "abc"), question("h", ())]
    words = [said(key, "the book").model_copy(update={"letter_correct": key == "a"}) for key in "ab"]
    found = score("x", asked, [*words, said("h", "?")], None, 50, 0)
    assert found.choice_by_letter is not None
    assert (found.choice_by_letter.mean, found.choice_by_letter.n) == (1 / 3, 3)
    plain = score("y", asked, [said("a", "A")], None, 50, 0)
    assert plain.choice_by_letter is None
    assert arms_sheet([plain]).heads[:3] == ("arm", "choice", "open")
    both = arms_sheet([plain, found])
    assert both.heads[:4] == ("arm", "choice", "by letter", "open")
    assert [row[2].split(" ")[0] for row in both.rows] == ["–", "33.3"]


def test_arms_sheet_has_other_videos_where_some_arm_has() -> None:
    plain = score("x", [question("a")], [said("a", "A")], None, 50, 0)
    half, more = Estimate(mean=0.5, low=0.4, high=0.6, n=9), Estimate(mean=0.25, low=-0.1, high=0.6, n=9)
    control = ShuffledScores(
        multiple_choice=VideoGain(other=half, gain=more), spatial_iou=VideoGain(other=half, gain=None)
    )
    asked = plain.model_copy(update={"arm": "y", "shuffled": control})
    sheet = arms_sheet([plain, asked])
    assert sheet.heads[:4] == ("arm", "choice", "other video", "open")
    assert [row[2].split(" ")[0] for row in sheet.rows] == ["–", "50.0"]
    assert arms_sheet([plain]).heads[:3] == ("arm", "choice", "open")
    assert shuffled_sheet([plain]) is None
    told = shuffled_sheet([plain, asked])
    assert told is not None
    assert told.rows == (
        ("y", "choice", "50.0 (40–60)", "+25.0 (-10 to +60)", "9"),
        ("", "box IoU", "50.0 (40–60)", "–", "0"),
    )
    assert told in further_sheets([plain, asked])


def test_no_table_of_readings_without_multiple_choice() -> None:
    found = score("x", [question("h", ())], [said("h", "the book")], None, 50, 0)
    assert (found.choice_strict, found.choice_lenient, found.unparsed_strict) == (None, None, 0)
    assert readings_sheet([found]) is None


def test_score_gives_accuracy_by_type_and_group() -> None:
    kinds = ["CW", "CW", "CH", "TN", "TP", "TC", "DL"]
    asked = [question(str(n), dataset="nextqa", type=kind) for n, kind in enumerate(kinds)]
    found = score("x", asked, [said(str(n), "A" if n in (0, 3, 4) else "B") for n in range(7)], None, 50, 0)
    shares = {kind: (one.mean, one.n) for kind, one in {**found.by_type, **found.by_group}.items()}
    assert shares["CW"] == (0.5, 2)
    assert shares["causal"] == (pytest.approx(1 / 3), 3)
    assert shares["temporal"] == (pytest.approx(2 / 3), 3)
    assert shares["before or after"] == (1.0, 2)
    assert shares["descriptive"] == (0.0, 1)
    assert found.by_type_mean == pytest.approx((0.5 + 0 + 1 + 1 + 0 + 0) / 6)
    shown = types_sheet([found])
    assert shown is not None
    assert len(shown.rows) == 6 + 4 + 1
    assert types_sheet([score("x", [question("a")], [said("a", "A")], None, 50, 0)]) is None


def reason(key: str, right: bool, iop: float | None, iou: float | None, box: float | None = None) -> Prediction:
    return Prediction(
        question_id=key, arm="x", mode=Mode.rationale, text="…", parsed="the book" if right else "the bag",
        correct=right, temporal_iou=iou, moment_iop=iop, moment_iou=iou, spatial_iou=box,
    )  # fmt: skip


def test_grounded_scores_count_every_question_with_a_span() -> None:
    span = Evidence(spans=(EvidenceSpan(start_s=1, end_s=2),))
    boxed = Evidence(boxes=(EvidenceBox(label="cup", time_s=0, box=(0, 0, 1, 1)),))
    asked = [*(question(key, evidence=span) for key in "abcde"), question("f", evidence=boxed), question("g")]
    rationales = [
        reason("a", True, 0.5, 0.4),  # right and grounded
        reason("b", True, 0.4, 0.3, 0.9),  # right, not grounded
        reason("c", False, 1.0, 0.6),  # grounded, wrong
        reason("d", True, None, None),  # right, names no span; e gives no reasons at all
        reason("f", True, None, None, 0.7),
        reason("g", True, None, None),
    ]
    answers = [said(key, "A") for key in "abcdfg"]
    found = score("x", asked, answers, rationales, 50, 0)
    own = found.grounded
    assert own is not None
    assert (own.acc_gqa.mean, own.acc_gqa.n) == (pytest.approx(1 / 5), 5)
    assert own.acc_qa.mean == pytest.approx(3 / 5)
    assert own.mean_iop.mean == pytest.approx((0.5 + 0.4 + 1.0) / 5)
    assert (own.iop_30.mean, own.iop_50.mean) == (pytest.approx(3 / 5), pytest.approx(2 / 5))
    assert own.mean_iou.mean == pytest.approx((0.4 + 0.3 + 0.6) / 5)
    assert (own.iou_30.mean, own.iou_50.mean) == (pytest.approx(3 / 5), pytest.approx(1 / 5))
    assert found.consistent is not None
    assert found.consistent.mean == pytest.approx(5 / 7)  # c says one thing and reasons to another, e says nothing
    assert found.borne_out is not None
    assert (found.borne_out.mean, found.borne_out.n) == (pytest.approx(3 / 4), 4)  # not b: its span misses
    assert found.missing == 1
    shown = [grounded_sheet([found]), reasons_sheet([found])]
    assert [len(one.rows) for one in shown if one] == [8, 1]
    assert grounded_sheet([score("x", asked, answers, None, 50, 0)]) is None
