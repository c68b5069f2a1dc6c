"""Scores on known cases."""

from __future__ import annotations

import numpy as np
import pytest

from aotd.evaluate.grounding import moment, spatial, temporal
from aotd.records import Evidence, EvidenceBox, EvidenceSpan
from aotd.scoring.answers import read_answer, read_choice, same_answer
from aotd.scoring.intervals import estimate

OPTIONS = ("The book.", "The bag.", "Put down the book.")


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        ("B", 1), ("(B)", 1), ("B.", 1), ("(b)", 1), ("B: The bag.", 1), ("(A) The book.", 0), (" C \n", 2),
        ("the bag", 1), ("The bag", 1), ("“The book.”", 0), ("Put down the book", 2),
        ("", None), ("a", None), ("b", None), ("D", None), ("Bag of things", None), ("A book or a bag", None),
        ("the book is on the bag", None), ("BAD", None), ("(", None),
    ],
)  # fmt: skip
def test_read_choice_takes_letters_and_options(reply: str, chosen: int | None) -> None:
    assert read_choice(reply, OPTIONS) == (None if chosen is None else OPTIONS[chosen])


@pytest.mark.parametrize(
    ("reply", "right"), [("the Book", True), ("Book.", True), ("books", False), ("", False), ("a", False)]
)
def test_same_answer_compares_open_answers_as_words(reply: str, right: bool) -> None:
    assert same_answer(read_answer(reply, ()), "book", ()) is right


def evidence(*spans: tuple[float, float], boxes: tuple[EvidenceBox, ...] = ()) -> Evidence:
    return Evidence(spans=tuple(EvidenceSpan(start_s=a, end_s=b) for a, b in spans), boxes=boxes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from frame 2 to frame 3", (1.0, 1.0)),
        ("from frame 2 to frame 2", (0.5, 0.5)),
        ("from frame 0 to frame 7", (0.25, 1.0)),
        ("from frame 2 to frame 2 and from frame 3 to frame 3", (1.0, 1.0)),
        ("from frame 6 to frame 99", (0.0, 0.0)),
        ("from frame 3 to frame 1", (0.0, 0.0)),
        ("from 1 to 2 seconds", (1.0, 1.0)),  # of what was shown, which begins at second 10
        ("0:01 to 0:01.5", (0.5, 0.5)),
        ("from 0 to 99 seconds", (0.25, 1.0)),
        ("no span", None),
    ],
)
def test_temporal_gives_iou_and_recall(text: str, expected: tuple[float, float] | None) -> None:
    # Eight frames of half a second each, from second 10: frames 2 and 3 are seconds 11 to 12.
    assert temporal(text, evidence((11.0, 12.0)), 8, 10.0, 14.0) == expected


@pytest.mark.parametrize(
    ("text", "iou", "iop"),
    [
        ("from frame 2 to frame 3", 1.0, 1.0),  # seconds 11 to 12, all of the first true span
        ("from frame 2 to frame 2", 0.5, 1.0),
        ("from frame 0 to frame 3", 0.5, 0.5),
        ("from frame 0 to frame 7", 0.375, 0.375),  # the second true span, 12.5 to 14, fits better
        ("from frame 1 to frame 1 and from frame 3 to frame 3", 1 / 3, 0.5),
        ("from frame 0 to frame 1", 0.0, 0.0),
        ("from frame 3 to frame 1", 0.0, 0.0),
    ],
)
def test_moment_takes_the_true_span_that_fits_best(text: str, iou: float, iop: float) -> None:
    found = moment(text, evidence((11.0, 12.0), (12.5, 14.0)), 8, 10.0, 14.0)
    assert found == (pytest.approx(iou), pytest.approx(iop))
    assert moment("no span", evidence((11.0, 12.0)), 8, 10.0, 14.0) is None
    assert moment(text, evidence(), 8, 10.0, 14.0) is None


def test_no_score_without_an_annotated_span() -> None:
    assert temporal("from frame 2 to frame 3", evidence(), 8, 0.0, 4.0) is None


def test_spatial_takes_the_true_box_nearest_in_time() -> None:
    boxes = (
        EvidenceBox(label="person", time_s=0.2, box=(0, 0, 2, 2)),
        EvidenceBox(label="person", time_s=3.0, box=(10, 10, 12, 12)),
        EvidenceBox(label="person", time_s=3.0, box=(20, 20, 22, 22)),
        EvidenceBox(label="cup/glass/bottle", time_s=0.2, box=(5, 5, 7, 7)),
    )
    marked = evidence(boxes=boxes)
    said = "I see person at [0, 0, 2, 2] in frame 0, [20, 20, 22, 22] in frame 6. I see cup at [0, 0, 2, 2] in frame 0."
    assert spatial(said, marked, 8, 0.0, 4.0) == pytest.approx(2 / 3)
    assert spatial("I see dog at [0, 0, 2, 2] in frame 0.", marked, 8, 0.0, 4.0) is None
    assert spatial("I see person at [0, 0, 2, 2] in frame 9.", marked, 8, 0.0, 4.0) is None


def test_estimate_covers_the_truth_as_often_as_claimed() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        found = estimate([bool(x) for x in random.random(100) < 0.4], 500, seed=trial)
        assert found is not None
        assert found.n == 100
        covered += found.low <= 0.4 <= found.high
    assert 180 <= covered <= 199
    assert estimate([], 100, 0) is None
    assert estimate([0.0, 1.0], 100, 3) == estimate([0.0, 1.0], 100, 3)
