"""Answer phrases of other languages, put into the English ones that `aotd.scoring.answers` reads.

`in_english` changes nothing but what says how an option is chosen, denied, asked for or refused: "不是A，而是B" becomes
"not (A) , but (B)". All other words stay, so that an option's own words can still be found. A letter that such a phrase
holds is put into brackets, since only there it is surely a letter and no article, name or word.

`phrases/` holds a file for each language; each line is `kind: pattern`. At its head stand

- `marks`: words that its texts are known by, since no English text holds them;
- `ands`, `ors`: what joins letters;
- `letters`: its own letters for options, from the first on;
- `ordinal`, `last`: words for first, second, …; `place`: around them (`#`), the words that make it an option's;
  `backwards`: what counts from the end, so that none of it is read;
- `behind`: what may stand behind a letter that could also be a word;
- `negation`: words that deny. Where one is left in a clause, its letters are denied: better unread than wrong.

Below stand the phrases, by what they say (`ENGLISH`), in the order in which they are applied: what denies comes before
what asserts. In patterns, `@` is a letter, `$` the end of a clause, and a blank any white space.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "phrases"
_OTHER_SCRIPTS = ("japanese", "korean", "chinese", "russian", "arabic", "hindi")
_LATIN = (
    *("english", "spanish", "portuguese", "italian", "french", "german"),
    *("dutch", "polish", "turkish", "indonesian", "vietnamese"),
)
_SPACED = (*_LATIN, "russian")
"""Those that put blanks between words."""
ENGLISH = {
    **{"unknown": "I cannot tell", "none": "none of the above", "all": "all of the above", "doubt": "I do not think"},
    **{"neither": "neither {0} nor {1}", "both": "{0} and {1} are correct", "either": "{0} or {1}", "asked": "{0}?"},
    **{"wrong": "{0} is wrong", "not": "not {0}", "not_but": "not {0} , but", "answer_not": "the answer is not"},
    **{"but": "but {0}", "right": "{0} is correct", "choose": "I choose {0}", "answer": "the answer is {0}"},
    **{"option": "option {0}", "it_is": "it is {0}", "maybe": "it may be {0}", "because": "{0} because"},
    **{
        "wrong_too": "wrong , not {0}",
        "letter": "{0}",
        "drop": "",
        **{f"place_{letter}": f"option ({letter})" for letter in "ABCDE"},
    },
}
"""Kind of phrase -> what it says, with the letters that it holds."""
_ALONE = r"(?<![A-Za-zÀ-ɏḀ-ỿ0-9'\"(\[])[\"'(\[]{0,2}\s?([A-Z])\s?[)\]\"']{0,2}(?![A-Za-zÀ-ɏḀ-ỿ0-9)\]\"])"
_LETTER = f"(?-i:{_ALONE})"
"""A capital that stands alone, in brackets or quotes or without; letters of other scripts may stand beside it."""
_SINGLE = rf"(?<!\sor\s)(?<!\sand\s){_LETTER}(?!\s?\?)"
"""One that ends no list and is not asked for: "A or B is right" does not say that B is."""
_DENIED = ("wrong", "not", "not_but", "asked")
"""Phrases that deny the last letter of a list, too."""
_CLAUSE_END = r"(?=\s*(?:[.,;:!।\n]|\Z))"
_CLAUSE = re.compile(
    r"[.;:!?।\n]|,(?!\s*(?:что|чтобы|dass|daß|że|żeby|ob)\b)|\b(?:because|porque|pois|perch[ée]|poich[ée]|car|parce|puisque|weil|denn|потому|поскольку|ведь)\b|так\sкак"
    r"|因为|因為|由于|所以|因此|ので|から|므로|니까|때문|لأن|حيث|क्योंकि|चूंकि|इसलिए",
    re.IGNORECASE,
)
"""What ends a clause, so that a "no" before it denies nothing behind it."""
_NO_MORE = r"(?![\w\u064b-\u065f\u0900-\u097f])"
"""Behind a letter of another script: no other one, and no vowel sign, which goes on with a word."""
_SIGNS = str.maketrans("؟،؛", "?,;")


@dataclass(frozen=True)
class _Language:
    marks: re.Pattern[str]
    rules: Sequence[tuple[re.Pattern[str], str]]
    """(phrase, English)."""
    places: Sequence[tuple[re.Pattern[str], int]]
    """(how an option is counted off, its position, -1 for the last)."""
    two_places: re.Pattern[str]
    """Two of them beside each other: "the first or the second option"."""
    lists: re.Pattern[str] | None
    """Letters with "and", "or" or commas between them."""
    ors: re.Pattern[str]
    letters: str
    """Its own letters for options; read behind "the answer is" only."""
    negation: re.Pattern[str] | None
    """Words that deny, for what the phrases do not know."""
    backwards: re.Pattern[str]
    """Where options are counted from the last one on."""


def in_english(text: str, count: int, *, places: bool = True) -> str:
    """A cleaned reply with its answer phrases in English; one in English keeps all but "the third option", "option 3".

    Args:
        count: how many options there are: the position of "the last one".
        places: whether to read those; not where the options themselves tell of first and third, or are numbers.
    """
    text = text.translate(_SIGNS)
    latin = max(_LATIN, key=lambda name: sum(map(len, _language(name).marks.findall(text))))  # of equals English
    for name in (*_OTHER_SCRIPTS, latin):
        language = _language(name)
        if language.marks.search(text):
            if name not in _LATIN:
                text = re.sub(r"(?<=[A-Z])\((?=\w\w)", " (", text)  # "B（猫睡了）"
            text = _translated(text, language, count if places else 0)
    return text


def _translated(text: str, language: _Language, count: int) -> str:
    if language.backwards.search(text):
        count = 0
    if count > 1:
        text = language.two_places.sub(" (A) or (B) ", text)
    for place, position in language.places:
        if count and position < count:
            text = place.sub(f" option ({chr(ord('A') + position % count)}) ", text)
    if language.lists is not None:
        text = language.lists.sub(lambda found: _list(found[0], language), text)
    for phrase, english in language.rules:
        if count or "option (" not in english:
            text = phrase.sub(lambda found, english=english: _said(found, english), text)  # type: ignore[misc]
    if language.letters:
        own = rf"(?<=the answer is )\s*[(\[]?([{re.escape(language.letters)}])[)\]]?{_NO_MORE}"
        text = re.sub(own, lambda found: f"({chr(ord('A') + language.letters.index(found[1]))})", text)
    return text if language.negation is None else _denied(text, language.negation)


def _denied(text: str, negation: re.Pattern[str]) -> str:
    """A text in which no letter is asserted in a clause that still holds a "no": better unread than wrong."""
    ends = [found.end() for found in _CLAUSE.finditer(text)]
    clauses = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return "".join(
        re.sub(r"\(([A-Z])\)", r"not (\1)", clause) if negation.search(clause) else clause for clause in clauses
    )


def _said(found: re.Match[str], english: str) -> str:
    """A phrase in English, with its letters in brackets; a phrase may hold none."""
    within = [number for number in range(1, found.re.groups + 1) if 0 <= found.start(number) < found.end()]
    letters = [f"({found[number]})" for number in within]  # not those that a phrase only looks ahead to
    return f" {english.format(*letters, '', '')} "


def _list(text: str, language: _Language) -> str:
    """A list of letters in English."""
    letters = re.findall(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", text)
    return (" or " if language.ors.search(text) else " and ").join(f"({letter})" for letter in letters)


@cache
def _language(name: str) -> _Language:
    rules: list[tuple[str, str]] = []
    head: dict[str, list[str]] = defaultdict(list)
    for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        kind, colon, pattern = line.partition(": ")
        if kind in ENGLISH:
            rules.append((kind, pattern))
        elif colon:
            head[kind].append(pattern)
    ands, ors, places = "".join(head["ands"]), "".join(head["ors"]), "|".join(head["place"])
    words = [*head["last"], *head["ordinal"]]
    if ands:
        behind = "|".join(["[.,;:!?()\n-]", r"\Z", " option", *head["behind"]])
        rules.append(("letter", f"(?<=the answer is ) *@{f'(?= *(?:{behind}))' if head['behind'] else ''}"))
    between = f"\\s*,\\s*|,?\\s+(?:{ands}|{ors})\\s+" if name in _SPACED else f"\\s*(?:{ands}|{ors})\\s*"
    bare = _ALONE.replace("([A-Z])", "[A-Z]").replace("{0,2}", "?")
    any_word, joint = "|".join(words), "|".join(filter(None, (ors, ands))) or "and"
    return _Language(
        marks=_pattern("|".join(head["marks"])),
        rules=[(_pattern(text, _LETTER if kind in _DENIED else _SINGLE), ENGLISH[kind]) for kind, text in rules],
        places=[(_pattern(places.replace("#", f"(?:{word})")), at - 1) for at, word in enumerate(words)],
        two_places=_pattern(rf"(?:{any_word})(?: ?\w{{1,8}})?,? ?(?:{joint}) ?(?:\w{{1,3}} )?(?:{any_word})"),
        lists=_pattern(f"(?-i:{bare}(?:(?:{between}){bare})+)") if ands else None,
        ors=_pattern(ors),
        letters="".join(head["letters"]),
        negation=_pattern("|".join([ENGLISH["doubt"], *head["negation"]])) if head["negation"] else None,
        backwards=_pattern("|".join(head["backwards"])),
    )


def _pattern(text: str, letter: str = _SINGLE) -> re.Pattern[str]:
    return re.compile(text.replace(" ", r"\s").replace("$", _CLAUSE_END).replace("@", letter), re.IGNORECASE)
