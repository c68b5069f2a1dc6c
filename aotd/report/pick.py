"""Which questions a report follows: a spread over outcomes, question types, splits and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from aotd.records import Outcome, Question
from aotd.store.ledger import Ledger


def pick(book: Ledger, questions: Iterable[Question], count: int) -> list[str]:
    """Ids of at most `count` questions: those that are kept first, then by outcome.

    Each time the question that is least like those already taken is taken; of equals, the first loaded.
    The same run always gives the same questions.
    """
    left = {question.question_id: question for question in questions}
    used: Counter[tuple[str, str]] = Counter()
    taken: list[str] = []

    def likeness(key: str) -> float:
        place, question = book.places[key], left[key]
        # Kept questions show the most, waiting ones the least: they may come more, and less, often.
        weight = 0.3 if place.outcome is Outcome.kept else 1.0 if place.outcome else 3.0
        alike = weight * used["outcome", place.name]
        return (
            alike + used["type", question.type] + 0.5 * used["split", question.split] + used["video", question.video_id]
        )

    while left and len(taken) < count:
        key = min(left, key=likeness)
        place, question = book.places[key], left.pop(key)
        used.update(
            [
                ("outcome", place.name),
                ("type", question.type),
                ("split", question.split),
                ("video", question.video_id),
            ]
        )
        taken.append(key)
    order = list(book.counts())
    position = {key: number for number, key in enumerate(book.places)}
    return sorted(taken, key=lambda key: (order.index(book.places[key].name), position[key]))
