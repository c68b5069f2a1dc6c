"""What a student is asked: the question with its options, and one of two suffixes (paper §3.4, appendix D.4).

Question: Which thing did the person take?
Options:
(A) the book
(B) the bag
Answer with the letter of the best option only.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from aotd.prompts import render
from aotd.records import Mode, Question

SUFFIXES = ("suffix_answer_choice", "suffix_answer_open", "suffix_rationale")
"""The prompts behind `suffix`, for manifests."""


def prompt(question: Question) -> str:
    """The question and its options, each on a line of its own, without a suffix."""
    return lettered(question.question, question.options)


def lettered(question: str, options: Sequence[str]) -> str:
    """As `prompt`, of a question's text and its options."""
    lines = [f"Question: {_line(question)}"]
    if options:
        lines.append("Options:")
        lines += [
            f"({letter}) {_line(option)}" for letter, option in zip(string.ascii_uppercase, options, strict=False)
        ]
    return "\n".join(lines)


def _line(text: str) -> str:
    """A stranger's text without line ends of any kind: it adds no option and no suffix of its own."""
    return " ".join(text.splitlines())


def suffix(letter: bool, mode: Mode) -> str:
    """What is put behind the prompt to say which reply is wanted, with the line breaks around it.

    Args:
        letter: whether the answer is to be an option's letter; otherwise it is to be words.
    """
    answer = "suffix_answer_choice" if letter else "suffix_answer_open"
    name = "suffix_rationale" if mode is Mode.rationale else answer
    return f"\n{render(name)}\n"


def target(question: Question, letter: bool = True) -> str:
    """What is to be replied behind the answer suffix: the option's letter, or the answer's words.

    Args:
        letter: False: words for multiple choice too.
    """
    assert question.answer is not None
    if not (question.options and letter):
        return question.answer
    return string.ascii_uppercase[question.options.index(question.answer)]
