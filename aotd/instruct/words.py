"""The words of a text as they are compared: numbers as digits, other words by their stem.

The lists in `words/` are English, and so is the stemmer; a text in another language is compared word by word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import snowballstemmer

_FOLDER = Path(__file__).parent / "words"
_WORD = re.compile(r"\d+(?:[.,:]\d+)*(?:st|nd|rd|th|s)?\b|[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"(?:^|[.!?:;\"“”…\n])[\s\"'“”‘(]*$")
_BRITISH = re.compile(r"(?<=[a-z]{3})our(?=s|ed|ing|ite|ful|able|hood|$)")
_SUPERLATIVE = re.compile(r"(?<=[a-z]{3})ie(?:r|st)$")
_STEMMER = snowballstemmer.stemmer("english")
_CARDINALS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_NUMBERS = {word: str(number) for number, word in enumerate(_CARDINALS)} | {
    **{word: str(10 * number) for number, word in enumerate(("thirty", "forty", "fifty", "sixty"), start=3)},
    **{"seventy": "70", "eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000"},
    **{"dozen": "12", "once": "1", "twice": "2", "thrice": "3", "third": "3", "fourth": "4", "fifth": "5"},
    **{"sixth": "6", "seventh": "7", "eighth": "8", "ninth": "9", "tenth": "10"},
}


@dataclass(frozen=True)
class TextWord:
    """A word of a text."""

    text: str
    """As it is written."""
    stem: str
    """What it is compared by; digits for a number."""
    opens: bool
    """Whether it opens a sentence, so that a capital says nothing."""

    @property
    def is_number(self) -> bool:
        return self.stem[0].isdigit()

    @property
    def is_name(self) -> bool:
        """Whether it looks like a name: a capital within a sentence."""
        return self.text[0].isupper() and not self.opens


def words_of(text: str) -> Iterator[TextWord]:
    """The words of a text, in order."""
    for found in _WORD.finditer(text):
        before = text[max(found.start() - 40, 0) : found.start()]
        yield TextWord(found[0], stem(found[0]), _SENTENCE_END.search(before) is not None)


def plain_words(text: str) -> list[str]:
    """The words of a text as they are written, without case: what a copied run is made of."""
    return [found[0].casefold().replace("’", "'") for found in _WORD.finditer(text)]


@lru_cache(1 << 15)
def stem(word: str) -> str:
    """What a word is compared by: `threw` and `throwing` are `throw`, `two` is `2`.

    >>> [stem(word) for word in ("threw", "throwing", "Two", "twice", "dog's", "neighbours", "12,000")]
    ['throw', 'throw', '2', '2', 'dog', 'neighbor', '12000']
    """
    word = word.casefold().replace("’", "'")
    if word[0].isdigit():
        return re.sub(r"[^\d.:]", "", word) or word
    if word in _NUMBERS:
        return _NUMBERS[word]
    word = word.removesuffix("'s").removesuffix("s'") if word.endswith(("'s", "s'")) else word
    word = _SUPERLATIVE.sub("y", _BRITISH.sub("or", word))
    found: str = _STEMMER.stemWord(_forms().get(word, word))
    return found


@cache
def word_list(name: str) -> tuple[str, ...]:
    """The words of a list, several of which may stand on a line."""
    return tuple(word for line in lines(name) for word in line.split())


@cache
def stems(*names: str) -> frozenset[str]:
    """The stems of the words of some lists."""
    return frozenset(stem(word) for name in names for word in word_list(name))


@cache
def lines(name: str) -> tuple[str, ...]:
    """The lines of a list, without its comments."""
    text = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def phrases(name: str) -> re.Pattern[str]:
    """A pattern that finds each line of a list as whole words."""
    every = "|".join(re.escape(line).replace(r"\ ", r"\s+") for line in sorted(lines(name), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{every})(?!\w)", re.IGNORECASE)


@lru_cache(1 << 14)
def follows(word: str) -> frozenset[str]:
    """The stems that follow from a stem: those that can stand for it, and what is true of any of them.

    >>> sorted(follows(stem("kitten")) & {stem(word) for word in ("cat", "animal", "pet", "dog")})
    ['anim', 'cat', 'pet']
    """
    same, general = _meanings()
    found, left = set[str](), list(same.get(word, frozenset()) | {word})
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += general.get(one, ())
    return frozenset(found)


@cache
def _meanings() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Stem -> the stems that can stand for it; stem -> the more general ones."""
    same: dict[str, set[str]] = {}
    general: dict[str, set[str]] = {}
    for line in lines("meanings"):
        left, _, right = line.partition(">")
        own = _stems(left.split())
        for one in own:
            if right:
                general.setdefault(one, set()).update(_stems(right.split()))
            else:
                same.setdefault(one, set()).update(own)
    return _frozen(same), _frozen(general)


def _frozen(found: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    return {one: frozenset(others) for one, others in found.items()}


def _stems(words: Iterable[str]) -> list[str]:
    return [stem(word) for word in words]


@cache
def _forms() -> dict[str, str]:
    """Irregular form -> its base."""
    return {form: base for line in lines("forms") for base, *forms in [line.split()] for form in forms}
