"""Words as they are compared."""

from __future__ import annotations

import pytest

from aotd.instruct.words import follows, lines, phrases, plain_words, stem, words_of


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        (("throw", "throws", "threw", "thrown", "throwing"), "throw"),
        (("dog", "dogs", "Dog's", "dogs'"), "dog"),
        (("neighbor", "neighbours", "neighbour’s"), "neighbor"),
        (("two", "Two", "2", "2nd", "twice"), "2"),
        (("child", "children", "children's"), "child"),
        (("four", "fourth", "4th"), "4"),
        (("12,000", "12000"), "12000"),
        (("0:30",), "0:30"),
        (("hour", "hours"), "hour"),
    ],
)
def test_stem_of_forms_is_the_same(forms: tuple[str, ...], expected: str) -> None:
    assert {stem(form) for form in forms} == {expected}


def test_words_know_numbers_names_and_beginnings() -> None:
    words = list(words_of('The man met Emily. "Then he saw two dogs," she said.'))
    assert [word.text for word in words if word.is_name] == ["Emily"]
    assert [word.text for word in words if word.opens] == ["The", "Then", "she"]
    assert [word.stem for word in words if word.is_number] == ["2"]
    assert plain_words("It's a well-known “Trick”.") == ["it's", "a", "well", "known", "trick"]


def test_follows_goes_to_the_general_and_not_back() -> None:
    assert {stem("dog"), stem("animal"), stem("pet")} <= follows(stem("puppy"))
    assert stem("dog") not in follows(stem("animal"))
    assert stem("cat") not in follows(stem("dog"))
    assert {stem("person"), stem("hand")} <= follows(stem("mechanic"))
    assert stem("dog") not in follows(stem("sandwich"))
    assert follows("zzz") == {"zzz"}


def test_phrases_are_found_as_whole_words() -> None:
    assert phrases("forbidden").search("As the  CAPTION says")
    assert phrases("forbidden").search("according\nto it")
    assert not phrases("forbidden").search("contextual pretext")


def test_lists_are_lower_case_and_lines_of_meanings_are_whole() -> None:
    for name in ("abstract", "actions", "colours", "concrete", "forms", "function", "reasoning", "telling"):
        assert all(line == line.lower() and line.strip() for line in lines(name)), name
    for line in lines("meanings"):
        left, mark, right = line.partition(" > ")
        assert left.split(), line
        assert right.split() if mark else len(left.split()) > 1, line
