"""An arm's accuracy under both readings of its replies."""

from __future__ import annotations

from rich.console import Console

from aotd.answers import parse
from aotd.evaluate.scores import readings, score
from aotd.records import Mode, Prediction, Question

OPTIONS = ("the book", "the bag")
REPLIES = {
    "a": "A",  # right under both
    "b": "The answer is A.",  # right leniently
    "c": "Answer: B",  # read leniently, and wrong
    "d": "A or B",  # read by neither
    "e": "",
    "f": "B",  # wrong under both
}


def question(key: str, options: tuple[str, ...] = OPTIONS, answer: str | None = "the book") -> Question:
    return Question(
        question_id=key, dataset="d", split="test", video_id="v", question="What?", type="T", options=options,
        answer=answer,
    )  # fmt: skip


def said(key: str, text: str) -> Prediction:
    parsed = parse(text, OPTIONS)
    return Prediction(
        question_id=key, arm="x", mode=Mode.answer, text=text, parsed=parsed.strict, rule=parsed.rule.value,
        correct=parsed.strict == "the book",
    )  # fmt: skip


def test_accuracy_under_both_readings() -> None:
    # `g` was never answered, `h` is open-ended, `i` has no known answer: none of them is a reply that cannot be read.
    asked = [*map(question, REPLIES), question("g"), question("h", ()), question("i", answer=None)]
    answers = [*(said(key, text) for key, text in REPLIES.items()), said("h", "?"), said("i", "?")]
    found = score("x", asked, answers, None, 50, 0)
    assert found.choice_strict is not None
    assert found.choice_lenient is not None
    assert found.multiple_choice == found.choice_strict
    assert (found.choice_strict.mean, found.choice_strict.n) == (1 / 7, 7)
    assert (found.choice_lenient.mean, found.choice_lenient.n) == (2 / 7, 7)
    assert (found.unparsed_strict, found.unparsed_lenient) == (4, 2)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(readings([found]))
    row = next(line for line in shown.get().splitlines() if "14.3" in line)
    assert [cell.strip().split(" ")[0] for cell in row.strip("│").split("│")] == ["x", "14.3", "4", "28.6", "2"]


def test_without_multiple_choice_there_is_no_table_of_readings() -> None:
    found = score("x", [question("h", ())], [said("h", "the book")], None, 50, 0)
    assert (found.choice_strict, found.choice_lenient, found.unparsed_strict) == (None, None, 0)
    assert readings([found]) is None
