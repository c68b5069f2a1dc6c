"""Whether a text holds what a caption does not: a thing, an action, a number, a colour, a name.

A word is grounded if the caption or the title has it in any form, or has one from which it follows
(`words/meanings.txt`: a puppy is a dog and an animal). Numbers must be there as numbers. Words of grammar and of
telling (`function.txt`, `telling.txt`) state nothing. Every other word is strange, whatever it is.

Where reasons are asked for, words for feelings, causes and qualities are new by their nature. There a word is also free
if it is listed (`reasoning.txt`), or is made as abstract words are (`-ness`, `-tion`, `-ful`, …) and is no known
exception (`concrete.txt`). So a new word counts as a thing unless its form or a list says otherwise.

Words are all that is compared: who does what to whom, and what is denied, is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aotd.datasets.captions import VideoCaption
from aotd.instruct.words import TextWord, following, stem, stems, words_of

_ABSTRACT = re.compile(
    r"[a-z]{3,}(?:ly|ness|tion|sion|ity|ment|ance|ence|ancy|ency|ism|ship|hood|ful|less|able|ible|ous|ive|ical|ional|istic)"
)
_TWO = ("other", "another", "both", "pair", "couple", "together", "twins", "each", "double")
"""Words that speak of two without saying so."""


@dataclass(frozen=True)
class KnownWords:
    """What a caption and its title hold, and what follows from it."""

    stems: frozenset[str]


def known_words(caption: VideoCaption) -> KnownWords:
    """The words of a caption and its title."""
    own = {word.stem for text in (caption.title, caption.caption) for word in words_of(text)}
    found = own | {other for one in own for other in following().get(one, ())}
    beings = {one for one in own if not following().get(one, frozenset()).isdisjoint(_stems("person", "animal"))}
    if own & _stems(*_TWO) or len(beings) > 1:
        found.add("2")
    return KnownWords(frozenset(found))


def strange_words(text: str, known: KnownWords, *, reasons: bool) -> list[str]:
    """The words of a text that are not grounded, as they are written.

    Args:
        reasons: whether the text asks for reasons or gives them.
    """
    free = stems("function", "telling", "reasoning") if reasons else stems("function", "telling")
    return [word.text for word in words_of(text) if not _is_grounded(word, known, free, reasons)]


def colours() -> frozenset[str]:
    """The stems of the words for colours."""
    colour = stem("color")
    return frozenset(one for one, others in following().items() if colour in others and one != colour)


def _is_grounded(word: TextWord, known: KnownWords, free: frozenset[str], reasons: bool) -> bool:
    if word.stem in known.stems or word.stem in free or word.stem == "1":
        return True
    return reasons and not word.is_name and _is_abstract(word.text.casefold())


def _is_abstract(word: str) -> bool:
    """Whether a word is made as abstract words are."""
    bare = word.removesuffix("'s").removesuffix("s") if not word.endswith("ss") else word
    forms = {word, bare, f"{bare.removesuffix('ie')}y"}
    shaped = any(_ABSTRACT.fullmatch(form) for form in (word, bare))
    return shaped and stems("concrete").isdisjoint(stem(form) for form in forms)


def _stems(*words: str) -> set[str]:
    return {stem(word) for word in words}
