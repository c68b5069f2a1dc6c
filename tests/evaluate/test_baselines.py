"""The guesser without video finds what there is to find, and nothing else."""

from __future__ import annotations

from random import Random

from aotd.evaluate.baselines import guess
from aotd.records import Question

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


def test_it_finds_a_giveaway_in_training_questions() -> None:
    random = Random(0)
    train, test = ([giveaway(i, random) for i in range(60)] for _ in "ab")
    assert accuracy(guess("blind", train, test), test) == 1.0


def test_without_training_questions_it_learns_from_the_other_videos() -> None:
    random = Random(0)
    asked = [giveaway(i, random) for i in range(60)]
    assert accuracy(guess("blind", [], asked), asked) == 1.0


def test_it_stays_at_chance_where_nothing_is_given_away() -> None:
    random = Random(0)
    train, test = ([question(i, random.randrange(4), random) for i in range(240)] for _ in "ab")
    assert abs(accuracy(guess("blind", train, test), test) - 0.25) < 0.1


def test_frequent_says_the_most_frequent_letter_and_answer() -> None:
    random = Random(0)
    train = [question(i, 2 if i % 3 else 0, random) for i in range(9)]
    words = [q.model_copy(update={"options": (), "answer": "yes" if i else "no"}) for i, q in enumerate(train)]
    asked = [question(9, 1, random), words[0]]
    assert guess("frequent", [*train, *words], asked) == [asked[0].options[2], "yes"]


def test_open_questions_are_guessed_by_their_words() -> None:
    random = Random(0)
    made = [
        question(i, 0, random).model_copy(
            update={"options": (), "question": "How many?" if i % 2 else "Which?", "answer": "2" if i % 2 else "book"}
        )
        for i in range(20)
    ]
    assert guess("blind", made, made[:2]) == ["book", "2"]


def test_nothing_to_learn_from_is_no_answer() -> None:
    asked = [question(0, 0, Random(0)).model_copy(update={"answer": None})]
    assert guess("blind", [], asked) == [""]


def test_a_question_is_answered_as_if_it_were_the_only_one() -> None:
    random = Random(3)
    train, test = ([question(i, random.randrange(4), random) for i in range(40)] for _ in "ab")
    assert guess("blind", train, test) == [guess("blind", train, [one])[0] for one in test]
    assert guess("blind", train, []) == []
