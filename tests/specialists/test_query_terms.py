from __future__ import annotations

import pytest

from aotd.specialists.query_terms import alternatives, sentence


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cup/glass/bottle", ["cup", "glass", "bottle"]),
        ("the Door.", ["door"]),
        ("red cup/glass", ["red cup", "red glass"]),
        ("any  person", ["person"]),
        ("/", []),
        ("  ", []),
        ("another/", ["another"]),
    ],
)
def test_a_slash_is_any_of_these(query: str, expected: list[str]) -> None:
    assert alternatives(query) == expected


def test_alternatives_are_bounded() -> None:
    assert len(alternatives("a/b/c/d c/d/e f/g/h")) == 8


def test_in_a_sentence_a_slash_is_an_or() -> None:
    assert sentence("person opening the closet/cabinet") == "person opening the closet or cabinet"
    assert sentence(" / ") == ""
