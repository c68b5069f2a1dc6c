from __future__ import annotations

from pathlib import Path

import pytest

from aotd.datasets.star import STAR_VERBS, StarSituation
from aotd.errors import UserError
from aotd.select.acts import TrueAction, acts, doing, read_names, stems


def marked(*frames: tuple[float, str]) -> list[StarSituation]:
    return [StarSituation(time, tuple(names.split(", ")) if names else (), ()) for time, names in frames]


def test_an_action_reaches_half_way_to_the_key_frames_around_it() -> None:
    found = acts(marked((1, ""), (2, "open door"), (3, "open door, take book"), (4, "take book"), (6, "")), 0, 8)
    assert found == [TrueAction("open door", 1.5, 3.5), TrueAction("take book", 2.5, 5.0)]


def test_an_action_that_ends_and_comes_again_is_two() -> None:
    found = acts(marked((1, "open door"), (2, ""), (3, "open door")), 0, 4)
    assert found == [TrueAction("open door", 0, 1.5), TrueAction("open door", 2.5, 4)]


def test_key_frames_outside_the_part_are_not_looked_at() -> None:
    assert acts(marked((1, "open door"), (5, "take book")), 2, 4) == []


def test_what_is_merely_held_counts_only_where_it_is_asked_for() -> None:
    one = [StarSituation(1.0, ("open door",), (), held=("book",))]
    assert [act.name for act in acts(one, 0, 2)] == ["open door"]
    assert [act.name for act in acts(one, 0, 2, held=True)] == ["hold book", "open door"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("put bag", "putting down the bag"),
        ("sit sofa/couch", "sitting on the sofa/couch"),
        ("Washing a cup", "washing a cup"),
    ],
)
def test_names_become_what_a_grounder_is_asked(name: str, words: str) -> None:
    assert doing(name) == words


@pytest.mark.parametrize("verb", STAR_VERBS.values(), ids=list(STAR_VERBS))
def test_all_forms_of_a_verb_have_the_same_stem(verb) -> None:  # type: ignore[no-untyped-def]
    assert stems(verb.plain) == stems(verb.past) == stems(verb.doing)


def test_small_words_carry_nothing() -> None:
    assert stems("Put down the book.") == stems("putting the book") == stems("put book")


def test_a_file_of_names_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("a001 Opening a door\n\na002\n")
    with pytest.raises(UserError, match=r"names\.txt:3: wants a code and its words"):
        read_names(str(path))
    path.write_text("a001 Opening a door\n")
    assert read_names(str(path)) == {"a001": "Opening a door"}
    with pytest.raises(UserError, match=r"select\.actions: .* is not there"):
        read_names(str(tmp_path / "none.txt"))
