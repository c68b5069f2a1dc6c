"""What a query with slashes means: `cup/glass/bottle` is any of the three (STAR's classes are named so)."""

from __future__ import annotations

from itertools import product

_MOST = 8
"""Alternatives that are looked for; a query with more of them is cut."""
_ARTICLES = ("the ", "a ", "an ", "any ", "some ")


def alternatives(query: str) -> list[str]:
    """Each thing that a query names, in lower case and without its article.

        "the cup/glass/bottle" -> "cup", "glass", "bottle"
        "red cup/glass"        -> "red cup", "red glass"

    Empty where the query has no words.
    """
    text = " ".join(query.lower().split()).strip(" .?!,")
    for article in _ARTICLES:
        text = text.removeprefix(article)
    choices = [[part for part in word.split("/") if part] for word in text.split()]
    found = [" ".join(words) for words in product(*(choice for choice in choices if choice))]
    return [text for text in found[:_MOST] if text]


def sentence(query: str) -> str:
    """A query as one sentence: `opening the closet/cabinet` -> `opening the closet or cabinet`."""
    words = [" or ".join(part for part in word.split("/") if part) for word in query.split()]
    return " ".join(word for word in words if word)
