"""What a piece of a reply says of the options: which letters and which options' words, and whether it denies them.

A bare capital is taken for a letter only where none of the words "A" and "I", no initial and no name ("person B") can
stand: after a word such as "is" or "option", or at the start of a sentence, and before a sign or a word such as
"because". The same holds for all letters alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aotd.scoring.normalise import is_number, words

_BRACKETED = re.compile(r"(?<![\w'\\])[(\[{]\s?([A-Za-z])\s?[)\]}]")
_AT_LINE = re.compile(r"^[ \t]*(?:[-•+]\s)?[\"']?(?:([A-Z])\s?[.:)]|([a-z])\s?[.)])(?=\s|$)", re.MULTILINE)
_NAMED = re.compile(
    r"\b(?:[Oo]ption|OPTION|[Cc]hoice|[Aa]lternative)\s+[\"'(]?"
    r"(?:([A-Z])(?![\w'])(?!\.\w)|([a-z])(?=[\"')]?(?:[.,;:!?]|\s*$)))"
    r"|\b[Aa]nswer\s+[\"'(]?([A-Z])(?=[\"')]?(?:[.,;:!?]|\s*$))"
)
_BARE = re.compile(
    r"(?<![\w.'-])([A-Z])(?=[\"')\]]?(?:\s*$|\s*\n|[,;:!?]|\.(?!\w)|\s*(?:[-–—=]>?|→)\s|\s?[/&]|\s+(?:because|since|as|is"
    r"|or|and|but|nor|not|fits|matches|seems|with|based|due|instead|rather|isn't|can't|cannot|wins|only)\b|(?<!I)\s+(?:would|appears|looks|best)\b))"
)
_BEFORE_BARE = re.compile(
    r"(?:^|[.!?:;,\n\"'>=→(\x00–—-]|\b(?:is|be|it's|that's|was|options?|choices?|answer|either|between|both|not|only"
    r"|neither|choose|chose|pick|select|say|with|than|of|for|therefore|thus|so|hence|guess|think|believe|probably|likely"
    r"|clearly|definitely|indeed|but|out|maybe|perhaps|eliminate|exclude|reject)|n't)\s*$",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[\"')\]}]?\s*(?:,?\s*(?:or|nor|and)\b|[,/&])\s*(?:maybe\s+|perhaps\s+)?(?:option\s+|the\s+|an?\s+)?[\"'(\[{]?"
)
_LISTED = re.compile(
    r"[\"')\]}]?\s*(?:(?:,\s*)?(?:or|nor|and)\s+|\s?[/&]\s?)(?:maybe\s+|perhaps\s+)?(?:option\s+)?([A-HJ-Z])(?![\w'])"
    r"|[\"')\]}]?\s*,\s*([A-Z])(?=\s?[,.)]|\s+(?:or|and|nor)\b|\s*$)"
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|never|neither|nor|without|except|excluding|eliminat(?:e|ed|ing)|exclud(?:e|ed)|reject(?:ed)?"
    r"|discard(?:ed)?|less\s+likely|(?:anything|nothing|all|everything)\s+but|rul(?:e|ed|ing)\s+out|rather\s+than|instead\s+of|no)|n't)(?:\s+(?!only\b)\w+(?=\s+(?:the|an?|any)\s))?(?:\s+(?:be|choose|pick|select|think|believe"
    r"|it|is|was|it's|the|an?|any|options?|choices?|answer|letter|agree|with|evidence|for|to|support|either|really|actually|clearly|likely|both))*\s*[\"'(\[]?$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[\"')\]]*\s*(?:(?:is|are|was|were|do|does|did|can|could|would|should|must|has|have)\s*(?:n't|\s+not)\b(?!\s+only)|cannot\b|can't\b"
    r"|(?:(?:is|are|was|were|seems?|looks?)\s+(?:both\s+|also\s+|all\s+|clearly\s+|definitely\s+)?|[:–—-]?\s*)(?:wrong|incorrect)\b"
    r"|(?:is|are|was|were|seems?)\s+(?:clearly\s+|definitely\s+)?(?:false|impossible|unlikely|out|eliminated|excluded)\b"
    r"|(?:can|could|should|must)\s+be\s+(?:ruled\s+out|eliminated|excluded|discarded|rejected)\b)",
    re.IGNORECASE,
)
_ASKED = re.compile(r"[\"')\]}]*\s?\?")
_NO_COUNT = (
    "frame",
    "frames",
    "second",
    "seconds",
    "step",
    "question",
    "option",
    "at",
    "from",
    "to",
    "until",
    "than",
    "least",
    "most",
)
_NO_ONE = ("this", "that", "which", "no", "any", "each", "every", "another", "only")


@dataclass(frozen=True)
class Claim:
    """One option that a piece of text names, or denies."""

    start: int
    end: int
    option: int | None
    """Its position; None for a letter that no option has."""
    denied: bool = False


@dataclass(frozen=True)
class Options:
    """The options, and their words."""

    texts: Sequence[str]
    words: Sequence[tuple[str, ...]]

    def of_letter(self, letter: str) -> int | None:
        """The position behind a letter, or None."""
        number = ord(letter.upper()) - ord("A")
        return number if number < len(self.texts) else None

    def alike(self, said: Sequence[str]) -> list[int]:
        """The options of just these words."""
        return [number for number, own in enumerate(self.words) if own and own == tuple(said)]

    def begun(self, said: Sequence[str]) -> int | None:
        """The longest option with whose words these begin."""
        begun = [n for n, own in enumerate(self.words) if own and tuple(said[: len(own)]) == own]
        return max(begun, key=lambda n: len(self.words[n]), default=None)

    def ended(self, said: Sequence[str]) -> int | None:
        """The longest option with whose words these end."""
        ended = [n for n, own in enumerate(self.words) if own and tuple(said[-len(own) :]) == own]
        return max(ended, key=lambda n: len(self.words[n]), default=None)

    def called(self, letter: str) -> int | None:
        """The option whose whole text is this letter, where one is."""
        named = [n for n, text in enumerate(self.texts) if text.strip().casefold() == letter.casefold()]
        return named[0] if named else None


def letter_claims(text: str, options: Options) -> list[Claim]:
    """The letters that a text names, in order; ones that are part of a word, a name or an article are none."""
    found: dict[int, Claim] = {}
    for shape in (_BRACKETED, _AT_LINE, _NAMED):
        for hit in shape.finditer(text):
            letter = next(filter(None, hit.groups()))
            start = hit.start(hit.lastindex or 0)
            found[start] = Claim(start, start + 1, options.of_letter(letter))
    for hit in _BARE.finditer(text):
        if hit.start() not in found and _BEFORE_BARE.search(text[max(0, hit.start() - 30) : hit.start()]):
            option = options.of_letter(hit[1])
            if option is not None or hit[1] != "I":
                found[hit.start()] = Claim(hit.start(), hit.end(), option)
    for first in list(found.values()):
        last = first
        while (listed := _LISTED.match(text, last.end)) and listed.start(listed.lastindex or 0) not in found:
            start = listed.start(listed.lastindex or 0)
            last = found[start] = Claim(start, start + 1, options.of_letter(text[start]))
    return _with_denials(text, [found[start] for start in sorted(found)])


def contradicted(text: str, claim: Claim, options: Options) -> bool:
    """Whether another option's words stand right beside a letter, or another option is called by that letter."""
    bracketed = text[: claim.start].rstrip().endswith(("(", "[", "{"))
    called = options.called(text[claim.start : claim.end])
    if called is not None and called != claim.option and not bracketed:
        return True
    after = options.begun([word.text for word in words(text[claim.end : claim.end + 300])])
    if re.match(r"[)\]}\"']?\s?[.:,)]?\s*[-–—=>]*\s*[\"']?\w", text[claim.end :]) and after not in (None, claim.option):
        return True
    before = options.ended([word.text for word in words(text[max(0, claim.start - 300) : claim.start])])
    return bracketed and after is None and before not in (None, claim.option)


def word_claims(text: str, options: Options) -> list[Claim]:
    """The options whose words a text holds, in order; one inside a longer one ("dog" in "black dog") is not named."""
    said = words(text)
    taken = [False] * len(said)
    found = []
    for number in sorted(range(len(options.words)), key=lambda n: (-len(options.words[n]), options.words[n])):
        own = options.words[number]
        if own in (("yes",), ("no",)):  # "there is no dog" is no answer
            continue
        for at in range(len(said) - len(own) + 1 if own else 0):
            same = tuple(word.text for word in said[at : at + len(own)]) == own
            if same and not any(taken[at : at + len(own)]) and not _no_count([w.text for w in said], at, own):
                taken[at : at + len(own)] = [True] * len(own)
                found.append(Claim(said[at].start, said[at + len(own) - 1].end, number))
    return _with_denials(text, sorted(found, key=lambda claim: claim.start))


def numbers(text: str) -> set[str]:
    """The different numbers in a text, without those of frames and seconds."""
    said = [word.text for word in words(text)]
    return {word for at, word in enumerate(said) if is_number(word) and not _no_count(said, at, (word,))}


def denies(before: str) -> bool:
    """Whether a text ends in the denial of what comes next: "not", "I don't think it is", "did not take the"."""
    return _DENIED_BEFORE.search(before[-60:]) is not None


def _no_count(said: Sequence[str], at: int, own: tuple[str, ...]) -> bool:
    """Whether a number says which frame ("frame 3"), or is the word in "this one" and "one of them"."""
    if len(own) != 1 or not is_number(own[0]) or len(said) == 1:
        return False
    if said[at + 1 : at + 3] in (["or", "more"], ["or", "less"], ["or", "fewer"]):
        return True
    before, after = said[at - 1] if at else "", said[at + 1] if at + 1 < len(said) else ""
    return (
        before in _NO_COUNT
        or after in ("second", "seconds")
        or (own[0] == "1" and (before in _NO_ONE or after == "of"))
    )


def _with_denials(text: str, claims: Sequence[Claim]) -> list[Claim]:
    """Marks what is denied; "not A or B" and "A and B are wrong" deny both. What is asked ("Is it A?") is left out."""
    groups: list[list[Claim]] = []
    for claim in claims:
        if groups and _JOINED.fullmatch(text, groups[-1][-1].end, claim.start):
            groups[-1].append(claim)
        else:
            groups.append([claim])
    marked = []
    for group in groups:
        start, end = group[0].start, group[-1].end
        if _ASKED.match(text, end):
            continue
        denied = denies(text[:start]) or _DENIED_AFTER.match(text, end) is not None
        marked += [replace(claim, denied=denied) for claim in group]
    return marked
