"""The guesser by likeness takes the option whose words are nearest to the question's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotd.evaluate.baselines import guess_by_likeness
from aotd.records import Question
from aotd.specialists.embedder import Vectors


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


def test_the_nearest_option_is_said_and_open_questions_are_not_guessed() -> None:
    asked = [ask("banana", "xyz", "bananas"), ask("who"), ask("xyz", "xyzz", "banana")]
    assert guess_by_likeness(asked, Letters()) == ["bananas", "", "xyzz"]
