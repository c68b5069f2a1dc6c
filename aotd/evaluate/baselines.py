"""Guessers without video: what question and options alone give away.

`blind` is a logistic regression over the words of question and option, pairs of words of both, the option's place
and how much it has in common with the other options. `frequent` always gives the answer that was right most often.
A data set without shortcuts leaves both at chance. `likeness` learns nothing from the questions: it takes the option
most like the question by a sentence-embedding model. On NExT-QA it does better than the guessers that learn, so
answers from stored captions are to be compared with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aotd.records import Question
from aotd.scoring.answers import plain, same_answer

if TYPE_CHECKING:
    from aotd.specialists.embedder import Embedder

_FOLDS = 5
_STRENGTHS = (0.01, 0.1, 1.0)
"""Inverse regularisation; the best on held-out videos of the training questions is taken."""

Guesser = Callable[[Sequence[Question]], list[str]]
"""Questions -> one answer each: an option, or words."""
Maker = Callable[[Sequence[Question]], Guesser]
"""Questions with their answers -> a guesser that has learned from them."""


def guess(name: str, train: Sequence[Question], questions: Sequence[Question]) -> list[str]:
    """A guesser's answers; with no `train`, each fifth of the questions' videos is guessed from the others."""
    labelled = [question for question in train if question.answer is not None]
    if labelled:
        return _by_kind(GUESSERS[name], labelled)(questions)
    folds, guesses = _folds(questions), [""] * len(questions)
    for fold in range(_FOLDS):
        inside = [number for number, question in enumerate(questions) if folds[question.video_id] == fold]
        rest = [q for q in questions if folds[q.video_id] != fold and q.answer is not None]
        if inside and rest:
            answers = _by_kind(GUESSERS[name], rest)([questions[number] for number in inside])
            for number, answer in zip(inside, answers, strict=True):
                guesses[number] = answer
    return guesses


def guess_by_likeness(questions: Sequence[Question], embedder: Embedder) -> list[str]:
    """The option nearest to each question; empty for an open-ended one."""
    # Together, which is quicker than one by one; the embedder keeps what it has embedded.
    embedder.embed(sorted({text for question in questions for text in (question.question, *question.options)}))
    guesses = []
    for question in questions:
        if not question.options:
            guesses.append("")
            continue
        near = embedder.embed(question.options) @ embedder.embed([question.question])[0]
        guesses.append(question.options[int(np.round(near, 4).argmax())])
    return guesses


def _folds(questions: Sequence[Question]) -> dict[str, int]:
    return {video: number % _FOLDS for number, video in enumerate(sorted({q.video_id for q in questions}))}


def _by_kind(makers: tuple[Maker, Maker], train: Sequence[Question]) -> Guesser:
    """A guesser for multiple choice and one for open-ended questions, as one.

    A kind without training questions is not guessed.
    """
    guessers = []
    for maker, choice in zip(makers, (True, False), strict=True):
        known = [question for question in train if bool(question.options) is choice]
        guessers.append(maker(known) if known else lambda questions: [""] * len(questions))
    choices, opens = guessers

    def answers(questions: Sequence[Question]) -> list[str]:
        picked = iter(choices([question for question in questions if question.options]))
        worded = iter(opens([question for question in questions if not question.options]))
        return [next(picked if question.options else worded) for question in questions]

    return answers


def _frequent_letter(train: Sequence[Question]) -> Guesser:
    places = Counter((len(q.options), q.options.index(q.answer)) for q in train if q.answer is not None)

    def answers(questions: Sequence[Question]) -> list[str]:
        return [q.options[max(range(len(q.options)), key=lambda i: places[len(q.options), i])] for q in questions]

    return answers


def _frequent_answer(train: Sequence[Question]) -> Guesser:
    most = Counter(question.answer or "" for question in train).most_common(1)[0][0]
    return lambda questions: [most] * len(questions)


def _blind_choice(train: Sequence[Question]) -> Guesser:
    """One regression says of each option by itself how likely it is the answer; the likeliest is taken."""
    folds = _folds(train)
    rows = [_options_features(question) for question in train]
    held = [number for number, question in enumerate(train) if folds[question.video_id] == 0]
    rest = [number for number, question in enumerate(train) if folds[question.video_id] != 0]
    strength = _STRENGTHS[0]
    if held and rest:
        fit = _fitter([train[number] for number in rest], [rows[number] for number in rest])
        held_out, held_rows = [train[number] for number in held], [rows[number] for number in held]
        strength = max(_STRENGTHS, key=lambda c: _right(held_out, _picked(fit(c), held_out, held_rows)))
    score = _fitter(train, rows)(strength)
    return lambda questions: _picked(score, questions, [_options_features(question) for question in questions])


def _right(questions: Sequence[Question], guesses: Sequence[str]) -> int:
    return sum(same_answer(a, q.answer or "", q.options) for q, a in zip(questions, guesses, strict=True))


OptionFeatures = list[dict[str, float]]
"""Of each option of a question."""
OptionScore = Callable[[OptionFeatures], Any]
"""Features of options -> how likely each is the answer."""


def _picked(score: OptionScore, questions: Sequence[Question], rows: Sequence[OptionFeatures]) -> list[str]:
    if not questions:
        return []
    odds = iter(score([features for row in rows for features in row]))
    return [question.options[int(np.argmax([next(odds) for _ in question.options]))] for question in questions]


def _fitter(train: Sequence[Question], rows: Sequence[OptionFeatures]) -> Callable[[float], OptionScore]:
    """What fits a regression, given its strength."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = DictVectorizer()
    matrix = vectors.fit_transform([features for row in rows for features in row])
    true = [option == question.answer for question in train for option in question.options]

    def fit(strength: float) -> OptionScore:
        model = LogisticRegression(C=strength, max_iter=2000)
        model.fit(matrix, true)
        return lambda others: model.decision_function(vectors.transform(others))

    return fit


def _options_features(question: Question) -> OptionFeatures:
    return [_option_features(question, number) for number in range(len(question.options))]


def _option_features(question: Question, number: int) -> dict[str, float]:
    option, in_question = _words(question.options[number]), _words(question.question)
    others = [set(_words(other)) for i, other in enumerate(question.options) if i != number]
    features = {f"place {number} of {len(question.options)}": 1.0}
    features |= {f"option {words}": 1.0 for words in _grams(option)}
    features |= {f"{word} | {own}": 1.0 for word in in_question for own in option}
    features |= {f"type {question.type} | {own}": 1.0 for own in option}
    features["in the question"] = sum(word in in_question for word in option) / max(len(option), 1)
    features["in other options"] = sum(len(set(option) & other) for other in others) / len(others) if others else 0.0
    features["longer than others"] = len(option) - sum(map(len, others)) / len(others) if others else 0.0
    return features


def _blind_open(train: Sequence[Question]) -> Guesser:
    """One regression over the question's words, with the answers of the training questions as classes."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    if len({plain(question.answer or "") for question in train}) < 2:
        return _frequent_answer(train)
    wording: dict[str, str] = {}
    for question in train:
        wording.setdefault(plain(question.answer or ""), question.answer or "")
    vectors = DictVectorizer()
    model = LogisticRegression(max_iter=2000)
    model.fit(vectors.fit_transform([_question_features(q) for q in train]), [plain(q.answer or "") for q in train])

    def answers(questions: Sequence[Question]) -> list[str]:
        rows = [_question_features(question) for question in questions]
        return [wording[answer] for answer in model.predict(vectors.transform(rows))] if rows else []

    return answers


def _question_features(question: Question) -> dict[str, float]:
    return {f"type {question.type}": 1.0, **dict.fromkeys(_grams(_words(question.question)), 1.0)}


def _words(text: str) -> list[str]:
    return plain(text).split()


def _grams(words: list[str]) -> list[str]:
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


GUESSERS: dict[str, tuple[Maker, Maker]] = {
    "blind": (_blind_choice, _blind_open),
    "frequent": (_frequent_letter, _frequent_answer),
}
"""Name -> how it learns to guess multiple choice, and open-ended questions."""
