"""Find the options that a piece of a reply names, by letter or by words, and whether it denies them.

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
    r"|or|and|but|nor|not|fits|matches|seems|with|based|due|instead|rather|that|isn't|can't|cannot|wins|only)\b|(?<!I)\s+(?:would|appears|looks|best)\b))"
)
_BEFORE_BARE = re.compile(
    r"(?:^|[.!?:;,\n\"'>=→(\x00–—-]|\b(?:is|be|it's|that's|was|options?|choices?|answer|either|between|both|not|only"
    r"|neither|choose|chose|pick|select|say|with|than|of|for|therefore|thus|so|hence|guess|think|believe|probably|likely"
    r"|clearly|definitely|indeed|but|out|maybe|perhaps|eliminate|exclude|reject|(?:that|this|which)\s+leaves|leaving)|n't)\s*$",
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
    r"(?:\b(?:not|cannot|(?<!no\s)(?<!without\s)doubt(?:ful)?|unlikely|hardly|never|neither|nor|without|except|excluding|eliminat(?:e|ed|ing)|exclud(?:e|ed)|reject(?:ed)?"
    r"|discard(?:ed)?|less\s+likely|(?:anything|nothing|all|everything)\s+but|rul(?:e|ed|ing)\s+out|rather\s+than|instead\s+of|no)|n't)(?:\s+(?!only\b)\w+(?=\s+(?:the|an?|any)\s))?(?:\s+(?:be|choose|pick|select|think|believe"
    r"|that|it|is|was|it's|the|an?|any|options?|choices?|answer|letter|agree|with|evidence|for|to|support|either|really|actually|clearly|likely|both))*\s*[\"'(\[]?$",
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
class OptionMention:
    """One option that a piece of text names, or denies."""

    start: int
    end: int
    option: int | None
    """Its position; None for a letter that no option has."""
    denied: bool = False


@dataclass(frozen=True)
class AnswerOptions:
    """The options, and their words."""

    texts: Sequence[str]
    words: Sequence[tuple[str, ...]]

    def of_letter(self, letter: str) -> int | None:
        """The position behind a letter, or None."""
        number = ord(letter.upper()) - ord("A")
        return number if number < len(self.texts) else None

    def alike(self, words: Sequence[str]) -> list[int]:
        """The options of just these words."""
        return [number for number, own in enumerate(self.words) if own and own == tuple(words)]

    def begun(self, words: Sequence[str]) -> int | None:
        """The longest option with whose words these begin."""
        begun = [n for n, own in enumerate(self.words) if own and tuple(words[: len(own)]) == own]
        return max(begun, key=lambda n: len(self.words[n]), default=None)

    def ended(self, words: Sequence[str]) -> int | None:
        """The longest option with whose words these end."""
        ended = [n for n, own in enumerate(self.words) if own and tuple(words[-len(own) :]) == own]
        return max(ended, key=lambda n: len(self.words[n]), default=None)

    def called(self, letter: str) -> int | None:
        """The option whose whole text is this letter, where one is."""
        named = [n for n, text in enumerate(self.texts) if text.strip().casefold() == letter.casefold()]
        return named[0] if named else None


def letter_mentions(text: str, options: AnswerOptions) -> list[OptionMention]:
    """The letters that a text names, in order; ones that are part of a word, a name or an article are none."""
    found: dict[int, OptionMention] = {}
    for shape in (_BRACKETED, _AT_LINE, _NAMED):
        for hit in shape.finditer(text):
            letter = next(filter(None, hit.groups()))
            start = hit.start(hit.lastindex or 0)
            found[start] = OptionMention(start, start + 1, options.of_letter(letter))
    for hit in _BARE.finditer(text):
        if hit.start() not in found and _BEFORE_BARE.search(text[max(0, hit.start() - 30) : hit.start()]):
            option = options.of_letter(hit[1])
            if option is not None or hit[1] != "I":
                found[hit.start()] = OptionMention(hit.start(), hit.end(), option)
    for first in list(found.values()):
        last = first
        while (listed := _LISTED.match(text, last.end)) and listed.start(listed.lastindex or 0) not in found:
            start = listed.start(listed.lastindex or 0)
            last = found[start] = OptionMention(start, start + 1, options.of_letter(text[start]))
    return _with_denials(text, [found[start] for start in sorted(found)])


def contradicted(text: str, mention: OptionMention, options: AnswerOptions) -> bool:
    """Whether another option's words stand right beside a letter, or another option is called by that letter."""
    bracketed = text[: mention.start].rstrip().endswith(("(", "[", "{"))
    called = options.called(text[mention.start : mention.end])
    if called is not None and called != mention.option and not bracketed:
        return True
    after = options.begun([word.text for word in words(text[mention.end : mention.end + 300])])
    beside = re.match(r"[)\]}\"']?\s?[.:,)]?\s*[-–—=>]*\s*[\"']?\w", text[mention.end :])
    if beside and after not in (None, mention.option):
        return True
    before = options.ended([word.text for word in words(text[max(0, mention.start - 300) : mention.start])])
    return bracketed and after is None and before not in (None, mention.option)


def word_mentions(text: str, options: AnswerOptions) -> list[OptionMention]:
    """The options whose words a text holds, in order; one inside a longer one ("dog" in "black dog") is not named."""
    in_text = words(text)
    taken = [False] * len(in_text)
    found = []
    for number in sorted(range(len(options.words)), key=lambda n: (-len(options.words[n]), options.words[n])):
        own = options.words[number]
        if own in (("yes",), ("no",)):  # "there is no dog" is no answer
            continue
        for at in range(len(in_text) - len(own) + 1 if own else 0):
            same = tuple(word.text for word in in_text[at : at + len(own)]) == own
            if same and not any(taken[at : at + len(own)]) and not _no_count([w.text for w in in_text], at, own):
                taken[at : at + len(own)] = [True] * len(own)
                found.append(OptionMention(in_text[at].start, in_text[at + len(own) - 1].end, number))
    return _with_denials(text, sorted(found, key=lambda mention: mention.start))


def numbers(text: str) -> set[str]:
    """The different numbers in a text, without those of frames and seconds."""
    in_text = [word.text for word in words(text)]
    return {word for at, word in enumerate(in_text) if is_number(word) and not _no_count(in_text, at, (word,))}


def denies(before: str) -> bool:
    """Whether a text ends in the denial of what comes next: "not", "I don't think it is", "did not take the"."""
    return _DENIED_BEFORE.search(before[-60:]) is not None


def _no_count(in_text: Sequence[str], at: int, own: tuple[str, ...]) -> bool:
    """Whether a number says which frame ("frame 3"), or is the word in "this one" and "one of them"."""
    if len(own) != 1 or not is_number(own[0]) or len(in_text) == 1:
        return False
    if in_text[at + 1 : at + 3] in (["or", "more"], ["or", "less"], ["or", "fewer"]):
        return True
    before, after = in_text[at - 1] if at else "", in_text[at + 1] if at + 1 < len(in_text) else ""
    return (
        before in _NO_COUNT
        or after in ("second", "seconds")
        or (own[0] == "1" and (before in _NO_ONE or after == "of"))
    )


def _with_denials(text: str, mentions: Sequence[OptionMention]) -> list[OptionMention]:
    """Mark the mentions that are denied, and leave out questions ("Is it A?").

    "not A or B" and "A and B are wrong" deny both.
    """
    groups: list[list[OptionMention]] = []
    for mention in mentions:
        if groups and _JOINED.fullmatch(text, groups[-1][-1].end, mention.start):
            groups[-1].append(mention)
        else:
            groups.append([mention])
    marked = []
    for group in groups:
        start, end = group[0].start, group[-1].end
        if _ASKED.match(text, end):
            continue
        denied = denies(text[:start]) or _DENIED_AFTER.match(text, end) is not None
        marked += [replace(mention, denied=denied) for mention in group]
    return marked
