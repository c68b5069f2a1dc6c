"""The guessers without video find shortcuts where there are some, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from aotd.evaluate.baselines import guess, guess_by_likeness
from aotd.records import Question
from aotd.specialists.embedder import Vectors

THINGS = ("book", "bag", "cup", "door", "shoe", "bed")


def question(number: int, answer: int, random: Random, split: str = "train") -> Question:
    options = tuple(random.sample(THINGS, 4))
    return Question(
        question_id=str(number), dataset="d", split=split, video_id=str(number // 3), type="T",
        question="Which thing?", options=options, answer=options[answer],
    )  # fmt: skip


def giveaway(number: int, random: Random) -> Question:
    """The answer is always the book."""
    asked = question(number, 0, random)
    options = ("book", *(option for option in asked.options if option != "book"))[:4]
    shuffled = tuple(random.sample(options, 4))
    return asked.model_copy(update={"options": shuffled, "answer": "book"})


def accuracy(said: list[str], asked: list[Question]) -> float:
    return sum(a == q.answer for a, q in zip(said, asked, strict=True)) / len(asked)


def test_blind_finds_a_shortcut_in_training_questions() -> None:
    random = Random(0)
    train, test = ([giveaway(i, random) for i in range(60)] for _ in "ab")
    assert accuracy(guess("blind", train, test), test) == 1.0


def test_blind_is_cross_validated_by_video_without_training_questions() -> None:
    random = Random(0)
    asked = [giveaway(i, random) for i in range(60)]
    assert accuracy(guess("blind", [], asked), asked) == 1.0


def test_blind_stays_at_chance_without_shortcuts() -> None:
    random = Random(0)
    train, test = ([question(i, random.randrange(4), random) for i in range(240)] for _ in "ab")
    assert abs(accuracy(guess("blind", train, test), test) - 0.25) < 0.1


def test_frequent_gives_the_most_frequent_letter_and_answer() -> None:
    random = Random(0)
    train = [question(i, 2 if i % 3 else 0, random) for i in range(9)]
    words = [q.model_copy(update={"options": (), "answer": "yes" if i else "no"}) for i, q in enumerate(train)]
    asked = [question(9, 1, random), words[0]]
    assert guess("frequent", [*train, *words], asked) == [asked[0].options[2], "yes"]


def test_blind_guesses_open_questions_by_their_words() -> None:
    random = Random(0)
    made = [
        question(i, 0, random).model_copy(
            update={"options": (), "question": "How many?" if i % 2 else "Which?", "answer": "2" if i % 2 else "book"}
        )
        for i in range(20)
    ]
    assert guess("blind", made, made[:2]) == ["book", "2"]


def test_guess_is_empty_without_anything_to_learn_from() -> None:
    asked = [question(0, 0, Random(0)).model_copy(update={"answer": None})]
    assert guess("blind", [], asked) == [""]


@pytest.mark.slow
def test_guess_does_not_depend_on_the_other_questions() -> None:
    random = Random(3)
    train, test = ([question(i, random.randrange(4), random) for i in range(40)] for _ in "ab")
    assert guess("blind", train, test) == [guess("blind", train, [one])[0] for one in test]
    assert guess("blind", train, []) == []


class Letters:
    """Texts as counts of letters."""

    model = "letters"

    def embed(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), 26), np.float32)
        for row, text in enumerate(texts):
            for letter in text:
                found[row, ord(letter) - ord("a")] += 1
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def ask(question: str, *options: str) -> Question:
    return Question(
        question_id=question, dataset="d", split="val", video_id="v", question=question, type="T", options=options
    )


def test_likeness_takes_the_nearest_option_and_skips_open_questions() -> None:
    asked = [ask("banana", "xyz", "bananas"), ask("who"), ask("xyz", "xyzz", "banana")]
    assert guess_by_likeness(asked, Letters()) == ["bananas", "", "xyzz"]
