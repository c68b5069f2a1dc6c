"""What a caption holds, what follows from it, and what is strange."""

from __future__ import annotations

import pytest

from aotd.datasets.captions import VideoCaption
from aotd.instruct.grounding import known_words, strange_words

CAPTION = VideoCaption(
    "v",
    "v.mp4",
    "Puppy Steals Red Sock",
    "A puppy named Rex stole a red sock from two kids. He ran through the kitchen and hid behind the stove for 30 "
    "seconds.",
    "mine",
)


def strange(text: str, *, reasons: bool = False) -> list[str]:
    return strange_words(text, known_words(CAPTION), reasons=reasons)


@pytest.mark.parametrize(
    "text",
    [
        "The dog takes the sock away from the children.",
        "Rex is a young animal, and he steals something that is red.",
        "In this video, two children are surprised by their pet.",
        "He hides there for thirty seconds, and 30 seconds later we still see him.",
        "What color is the sock?",
        "One of the kids runs after him.",
    ],
)
def test_what_follows_from_a_caption_is_grounded(text: str) -> None:
    assert strange(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The dog eats a sandwich.", ["eats", "sandwich"]),
        ("The cat runs.", ["cat"]),
        ("The blue sock is his.", ["blue"]),
        ("Three kids look at him.", ["Three"]),
        ("It takes 31 seconds.", ["31"]),
        ("The owner Emily sees him.", ["Emily"]),
        ("He dances, whistles and sneezes.", ["dances", "whistles", "sneezes"]),
        ("Der Hund läuft.", ["Der", "Hund", "läuft"]),
        ("他跑了。", ["他跑了"]),
    ],
)
@pytest.mark.parametrize("reasons", [False, True])
def test_invented_things_actions_numbers_colours_and_names_are_strange(
    text: str, words: list[str], reasons: bool
) -> None:
    assert strange(text, reasons=reasons) == words


def test_abstract_words_are_free_where_reasons_are_asked_for() -> None:
    text = "His waggishness suggests curiosity, and the mischievousness of it is a sign of love."
    assert strange(text, reasons=True) == []
    assert strange(text) == ["waggishness", "mischievousness"]
    for word in ("television", "apartments", "butterfly", "musicians"):
        assert strange(f"It is because of the {word}.", reasons=True) == [word]


def test_two_follow_from_two_beings_and_no_third() -> None:
    one = VideoCaption("v", "v.mp4", "", "A man talks to his dog.", "mine")
    assert strange_words("The two are friends.", known_words(one), reasons=True) == []
    assert strange_words("The three are friends.", known_words(one), reasons=True) == ["three"]
    alone = VideoCaption("v", "v.mp4", "", "Somebody talks.", "mine")
    assert strange_words("The two are friends.", known_words(alone), reasons=True) == ["two"]
