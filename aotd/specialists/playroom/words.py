"""Which verb and which thing a text names: the words a specialist of playroom was trained with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aotd.datasets.playroom.things import PERSON, PLAYROOM_VERBS, THINGS

_WORD = re.compile(r"[a-z0-9]+")
_PEOPLE = {"person", "persons", "people", "man", "men", "woman", "women", "human", "someone", "somebody"}
_SYNONYMS = {
    **{"pick": "take", "picks": "take", "picked": "take", "picking": "take", "grab": "take", "grabbed": "take"},
    **{"grabbing": "take", "carry": "hold", "carried": "hold", "carrying": "hold", "shut": "close"},
    **{"shutting": "close", "place": "put", "placed": "put", "placing": "put", "toss": "throw", "tossed": "throw"},
    **{"tossing": "throw", "seated": "sit", "walks": "walk"},
}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TIMES = {"never": 0, "once": 1, "twice": 2, "thrice": 3}


@dataclass(frozen=True)
class Phrase:
    """What a short text is about; None where it does not say."""

    verb: str | None
    """Short name of a verb, e.g. `put`."""
    thing: str | None
    """Name of a thing, e.g. `cup/glass/bottle`."""


def _verb_words() -> dict[str, str]:
    """First word of every form -> verb: `putting` -> `put`."""
    words = dict(_SYNONYMS)
    for verb in PLAYROOM_VERBS.values():
        for form in (verb.name, verb.plain, verb.past, verb.doing, verb.done):
            words[form.split()[0]] = verb.name
        words[verb.name + "s"] = verb.name
    return words


def _thing_words() -> dict[str, str]:
    """Each of a class's words, singular and plural -> the class."""
    words = {"tv": "television", "fridge": "refrigerator", "lamp": "light", "plate": "dish", "sofas": "sofa/couch"}
    for name in THINGS:
        for word in name.split("/"):
            words[word] = name
            words[word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")] = name
    return {word: name for word, name in words.items() if name in THINGS}


_VERB_OF = _verb_words()
_THING_OF = _thing_words()


def words(text: str) -> list[str]:
    """The text in lower-case words."""
    return _WORD.findall(text.lower())


def things(text: str) -> list[str]:
    """The classes of things a text names, in order, each once."""
    return list(dict.fromkeys(_THING_OF[word] for word in words(text) if word in _THING_OF))


def names_person(text: str) -> bool:
    """Whether a text names a person."""
    return bool(_PEOPLE & set(words(text)))


def phrase(text: str) -> Phrase:
    """The first verb and the first thing that a text names."""
    verb = next((_VERB_OF[word] for word in words(text) if word in _VERB_OF), None)
    found = things(text)
    return Phrase(verb, found[0] if found else None)


def phrases(text: str) -> list[Phrase]:
    """Every (verb, thing) that a text tells of, in order: a thing belongs to the verb last named before it."""
    found: list[Phrase] = []
    verb: str | None = None
    pending = False
    for word in words(text):
        if word in _VERB_OF:
            if pending:
                found.append(Phrase(verb, None))
            verb, pending = _VERB_OF[word], True
        elif word in _THING_OF:
            found.append(Phrase(verb, _THING_OF[word]))
            pending = False
    if pending:
        found.append(Phrase(verb, None))
    # the words of one class with slashes name it once
    return [item for before, item in zip([None, *found], found, strict=False) if item != before]


def number(text: str) -> int | None:
    """The number a text says, in digits or words; None where it says none."""
    for word in words(text):
        if word.isdigit():
            return int(word)
        if word in _NUMBERS:
            return _NUMBERS.index(word)
        if word in _TIMES:
            return _TIMES[word]
    return None


def told(verb: str, thing: str) -> str:
    """An action in the past, as it stands in a sentence: `opened the door`."""
    return f"{PLAYROOM_VERBS[verb].past} the {thing}"


__all__ = ["PERSON", "Phrase", "names_person", "number", "phrase", "phrases", "things", "told", "words"]
