"""Texts in nearly the same words: two at a time, and very many at once."""

from __future__ import annotations

import random
from time import process_time

import pytest

from aotd.evaluate.near_duplicates import all_alike, are_alike, pairs_of_question, pairs_of_text
from aotd.records import Question


def question(words: str, options: tuple[str, ...] = ()) -> Question:
    return Question(question_id="q", dataset="d", split="s", video_id="v", question=words, type="T", options=options)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("What is she doing?", "what is   she doing", True),
        ("Is the door open?", "is a door open", True),
        ("Is the door open?", "is the door closed", False),
        ("who opened what", "what opened who", False),
        ("", "?", True),
        ("", "why", False),
    ],
)
def test_are_alike_ignores_case_articles_and_signs_but_not_order(a: str, b: str, same: bool) -> None:
    assert are_alike(pairs_of_text(question(a)), pairs_of_text(question(b))) is same
    assert are_alike(pairs_of_text(question(b)), pairs_of_text(question(a))) is same


def test_are_alike_allows_one_other_word_from_seventeen_on() -> None:
    for count, same in ((16, False), (17, True)):
        words = [f"w{number}" for number in range(count)]
        other = [*words[:5], "other", *words[6:]]
        assert are_alike(pairs_of_text(question(" ".join(words))), pairs_of_text(question(" ".join(other)))) is same


def test_pairs_of_question_ignore_the_order_of_options() -> None:
    options = ("the red door", "a blue bag", "no cup")
    one = pairs_of_question(question("which?", options))
    assert pairs_of_question(question("which?", options[::-1])) == one
    assert not are_alike(pairs_of_question(question("which?", ("a green door", *options[1:]))), one)


def texts(count: int, seed: int) -> list[Question]:
    """Questions of a few patterns, as benchmarks made by programs have them; some are one another's."""
    rng = random.Random(seed)
    things = [f"{kind} {number}" for kind in ("door", "cup", "book", "bag") for number in range(10)]
    return [
        question(
            f"Which object was {rng.choice(('opened', 'held', 'thrown'))} by the person before they touched the "
            f"{rng.choice(things)}?",
            tuple(f"The {thing}." for thing in rng.sample(things, 4)),
        )
        for _ in range(count)
    ]


def test_all_alike_agrees_with_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.evaluate.near_duplicates._CELLS", 1000)  # several rounds
    ours = [pairs_of_question(one) for one in texts(40, 0)] + [pairs_of_text(question("no such words"))]
    theirs = [pairs_of_question(one) for one in texts(300, 1)] + ours[:3]
    found = set(all_alike(ours, theirs))
    assert found == {(a, b) for a in range(len(ours)) for b in range(len(theirs)) if are_alike(ours[a], theirs[b])}
    assert {(0, 300), (1, 301), (2, 302)} <= found
    assert list(all_alike([], theirs)) == list(all_alike(ours, [])) == []


@pytest.mark.slow
def test_all_alike_compares_twenty_thousand_by_five_thousand_in_seconds() -> None:
    ours, theirs = ([pairs_of_question(one) for one in texts(count, count)] for count in (5000, 20000))
    began = process_time()
    assert sum(1 for _ in all_alike(ours, theirs)) > 0
    assert process_time() - began < 60
