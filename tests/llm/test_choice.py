"""Reading one of some options from a reply that was free."""

from __future__ import annotations

import pytest

from aotd.llm.choice import read_option

LETTERS = ["A", "B", "C"]


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("B", "B"),
        (" b\n", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("**B**: the second one", "B"),
        ("B, since the door opens", "B"),
        ("B\nThe door opens.", "B"),
        ("'C'", "C"),
        ("A door is seen", None),
        ("A", "A"),
        ("A, or B", None),
        ("B. It is not c.", None),
        ("The answer is B", None),
        ("Be", None),
        ("D", None),
        ("", None),
        ("…", None),
    ],
)
def test_only_a_plain_letter_is_read(reply: str, option: str | None) -> None:
    assert read_option(reply, LETTERS) == option


@pytest.mark.parametrize(
    ("reply", "options", "option"),
    [
        ("No one.", ["no", "no one"], "no one"),
        ("no, no one", ["no", "no one"], None),
        ("True", ["true", "True"], "True"),
        ("TRUE", ["true", "True"], None),
        ("D.", ["B", "D"], "D"),
        ("c++ (the language)", ["c", "c++"], None),
        ("c++", ["c", "c++"], "c++"),
    ],
)
def test_options_that_are_alike_are_told_apart_or_none_is_read(
    reply: str, options: list[str], option: str | None
) -> None:
    assert read_option(reply, options) == option
