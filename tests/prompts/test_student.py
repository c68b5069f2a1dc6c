"""What a student is asked, and what it is to reply, by letter and in words."""

from __future__ import annotations

import pytest

from aotd.prompts.student import prompt, suffix, target
from aotd.records import Mode, Question

OPTIONS = ("the book", "the bag")


def question(options: tuple[str, ...] = OPTIONS) -> Question:
    return Question(
        question_id="a", dataset="d", split="train", video_id="1", question="Which?", type="T", options=options,
        answer="the bag",
    )  # fmt: skip


def test_target_is_letter_or_words() -> None:
    assert target(question()) == "B"
    assert target(question(), letter=False) == "the bag"
    assert target(question(())) == target(question(()), letter=False) == "the bag"


def test_prompt_lists_options_for_both_replies() -> None:
    assert prompt(question()) == "Question: Which?\nOptions:\n(A) the book\n(B) the bag"


@pytest.mark.parametrize("letter", [True, False])
def test_suffix_says_which_answer_is_wanted_and_is_one_for_rationales(letter: bool) -> None:
    asked = suffix(letter, Mode.answer)
    assert ("letter" in asked, "short phrase" in asked) == (letter, not letter)
    assert suffix(letter, Mode.rationale) == suffix(True, Mode.rationale)
