"""Answers as words: reading the one in a reply, and comparing two."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

_LETTER = re.compile(r"\(([A-Za-z])\)(?:[\s.:,]|$)|([A-Z])(?:[.:)](?:\s|$)|$)")
_ARTICLES = ("a", "an", "the")


def plain(text: str) -> str:
    """An answer without case, articles, punctuation and doubled spaces: what two equal answers share."""
    words = re.findall(r"[\w/'-]+", text.casefold())
    return " ".join(word for word in words if word not in _ARTICLES)


def read_choice(reply: str, options: Sequence[str]) -> str | None:
    """The option that a reply chooses: by its words, or by its letter as "B", "(B)", "B." or "B: …".

    A reply that only mentions options among other words chooses none.
    """
    text = reply.strip().strip("\"'“”‘’`*").strip()
    same = [option for option in options if option == text] or [
        option for option in options if plain(option) == plain(text) != ""
    ]
    if len(same) == 1:
        return same[0]
    letter = _LETTER.match(text)
    if letter is None:
        return None
    number = string.ascii_uppercase.index((letter[1] or letter[2]).upper())
    return options[number] if number < len(options) else None


def read_answer(reply: str, options: Sequence[str]) -> str | None:
    """The answer in a reply: the option it chooses, or, for an open-ended question, its words. None if unreadable."""
    if options:
        return read_choice(reply, options)
    return reply.strip() or None


def same_answer(given: str | None, true: str, options: Sequence[str]) -> bool:
    """Whether an answer that was read is the true one: the very option, or equal as `plain` words."""
    if given is None:
        return False
    return given == true if options else plain(given) == plain(true) != ""
