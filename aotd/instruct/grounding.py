"""Whether a text holds what a caption does not: a thing, an action, a number, a colour, a name.

A word is grounded if the caption or the title has it in any form, or has one from which it follows
(`words/meanings.txt`: a puppy is a dog and an animal). Numbers must be there as numbers. Any other word is strange,
unless it is known to name nothing of these:

- words of grammar (`function.txt`) and of telling (`telling.txt`);
- words that WordNet's texts use mostly for what is no thing, being, place, event or bodily action (`abstract.txt`), but
  for the exceptions in `concrete.txt`;
- where reasons are asked for: also those in `reasoning.txt`, words that are made as abstract words are (`-ness`, …),
  and in a sentence that supposes or speaks of everybody ("they could have tied it down"): verbs (`actions.txt`).

So a word that no list knows counts as a thing. Words are all that is compared: who does what to whom, and what is
denied, is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from aotd.datasets.captions import VideoCaption
from aotd.instruct.words import TextWord, follows, stem, stems, word_list, words_of

_ABSTRACT = re.compile(
    r"[a-z]{3,}(?:ly|ness|tion|sion|ity|ment|ance|ence|ancy|ency|ism|ship|hood|ful|less|able|ible|ous|ive|ical|ional|istic)"
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_SUPPOSED = re.compile(
    r"\b(?:could|would|should|might|may|must|can|cannot|if|unless|not|never|nobody|often|usually|likely|people|anyone"
    r"|everyone|whoever)\b|n[’']t\b",
    re.IGNORECASE,
)
_TWO = ("other", "another", "both", "pair", "couple", "together", "twins", "each", "double")
"""Words that speak of two without saying so."""

_GENDERS = ((("he", "his", "him"), ("man", "male", "guy")), (("she", "her"), ("woman", "female")))
"""Pronouns, and what is thereby known of a person."""


@dataclass(frozen=True)
class KnownWords:
    """What a caption and its title hold, and what follows from it."""

    stems: frozenset[str]


def known_words(caption: VideoCaption) -> KnownWords:
    """The words of a caption and its title."""
    own = {word.stem for text in (caption.title, caption.caption) for word in words_of(text)}
    found = own | {other for one in own for other in follows(one)}
    for pronouns, follow in _GENDERS:
        if own & _stems(*pronouns) and stem("person") in found:
            found |= _stems(*follow)
    beings = {one for one in own if not follows(one).isdisjoint(_stems("person", "animal"))}
    if own & _stems(*_TWO) or len(beings) > 1:
        found.add("2")
    return KnownWords(frozenset(found))


def strange_words(text: str, known: KnownWords, *, reasons: bool) -> list[str]:
    """The words of a text that are not grounded, as they are written.

    Args:
        reasons: whether the text asks for reasons or gives them.
    """
    found = list[str]()
    for sentence in _SENTENCE.split(text):
        free = _free(reasons, supposed=reasons and bool(_SUPPOSED.search(sentence)))
        found += [word.text for word in words_of(sentence) if not _is_grounded(word, known, free, reasons)]
    return found


def colours() -> frozenset[str]:
    """The stems of the words for colours."""
    return frozenset(_stems(*word_list("colours")))


@cache
def _free(reasons: bool, supposed: bool) -> frozenset[str]:
    """The stems that state nothing of the video.

    Args:
        reasons: in a text that asks for reasons or gives them.
        supposed: in a sentence that tells what could be, or what is so in general.
    """
    found = stems("function", "telling") | (stems("abstract") - stems("concrete"))
    found |= stems("reasoning") if reasons else frozenset()
    return found | stems("actions") if supposed else found


@cache
def _things() -> frozenset[str]:
    """Words that name a thing although their stem is that of a word that does not: an apartment is not apart."""
    lists = word_list("function"), word_list("telling"), word_list("reasoning")
    return frozenset(word_list("concrete")).difference(*lists)


def _is_grounded(word: TextWord, known: KnownWords, free: frozenset[str], reasons: bool) -> bool:
    if word.stem in known.stems:
        return True
    if word.is_number:
        return word.stem == "1"
    if word.text.casefold().removesuffix("s") in _things() or word.text.casefold() in _things():
        return False
    if word.stem in free:
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
