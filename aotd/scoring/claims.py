"""Read what a chain of thought claims: spans, boxes, frames, counts, and the answer in which it ends.

The phrases are those of the template writer, and the ways in which language models vary them:

    from frame 2 to frame 11                    a span; both frames belong to it
    from 3.5 to 8 seconds, 0:03 - 0:08          a span in seconds, as other models write it
    cup at [3, 4, 20, 31] in frame 2, [5, 4, 22, 31] in frame 4
                                                two boxes of one thing
    count of cup/glass/bottle: 3                a count
    So the answer is the book.                  the answer

`verify` compares each claim with the trace, `evaluate` with the annotation. Any text can be read, also that of a badly
trained student: nothing here raises, and what is not understood is left out.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from aotd.records import Box

_FRAME = r"([0-9]{1,9})(?![0-9])"
_NUMBER = r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)"
_SPAN = re.compile(
    rf"\bframes?\s{{0,3}}#?{_FRAME}\s{{0,3}}(?:to|through|until|till|and|[-–—])\s{{0,3}}(?:frame\s{{0,3}})?#?{_FRAME}",
    re.IGNORECASE,
)
_CLOCK, _PLAIN = r"([0-9]{1,3}):([0-9]{2}(?:\.[0-9]{1,6})?)", r"([0-9]{1,6}(?:\.[0-9]{1,6})?)"
_TIME = rf"(?:{_CLOCK}|{_PLAIN})"
_UNIT = r"(?:\s{0,3}(s|secs?|seconds?)\b)?"
_SECONDS = re.compile(
    rf"(?<![\w.:])(seconds?\s{{1,3}})?{_TIME}{_UNIT}\s{{0,3}}(to|through|until|till|and|[-–—])\s{{0,3}}(?:seconds?\s{{1,3}})?"
    rf"{_TIME}{_UNIT}(?![\w:]|\.[0-9])",
    re.IGNORECASE,
)
_MENTION = re.compile(
    r"\bframes?\s{0,3}#?([0-9]{1,9}(?:(?:\s{0,2},\s{0,2}(?:and\s)?|\s{1,2}and\s{1,2})[0-9]{1,9}){0,99})(?![0-9])",
    re.IGNORECASE,
)
_BOX = re.compile(
    rf"\[\s{{0,3}}{_NUMBER}\s{{0,3}},\s{{0,3}}{_NUMBER}\s{{0,3}},\s{{0,3}}{_NUMBER}\s{{0,3}},\s{{0,3}}{_NUMBER}\s{{0,3}}\]"
)
_AFTER_BOX = re.compile(
    rf"\s{{0,3}}(?:,\s{{0,3}})?(?:\(?\s{{0,3}}(?:in|on|at)\s{{1,3}})?\(?frame\s{{0,3}}#?{_FRAME}", re.IGNORECASE
)
_BETWEEN_BOXES = re.compile(r"[\s,;)]{0,6}(?:and\s{1,3})?(?:then\s{1,3})?(?:also\s{1,3})?(?:at\s{1,3})?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_BEFORE_LABEL = re.compile(
    r".*\b(?:find|finds|found|see|sees|saw|seen|spot|spots|detect|detects|detected|locate|locates|located|notice|notices"
    r"|observe|there is|there are|shows?)(?=\s)",
    re.IGNORECASE | re.DOTALL,
)
_BEFORE_SUBJECT = re.compile(r".*(?:[,:;]|\b(?:with|and|frame [0-9]{1,9}|now|also))(?=\s)", re.IGNORECASE | re.DOTALL)
"""Where no verb of seeing stands before it: what can stand before a subject."""
_AFTER_LABEL = re.compile(
    r"\s(?:(?:can|could|may|is|are|was|were|be|also|again|still|now|stands?|appears?|sits?|lies?|remains?|moves?"
    r"|found|seen|located|detected|visible|spotted|shown|boxed|situated|present)\s?){1,6}$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:(?:the|a|an|one|some|this|that|same)\s)+", re.IGNORECASE)
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COUNTED = r"([0-9]{1,9}(?![0-9])|" + "|".join(_WORDS) + r")\b"
_COUNT_OF = re.compile(
    rf"\bcount\s+of\s+([^\n:;,.]{{1,80}}?)\s*(?::|\bis\b|\bequals\b|=)\s{{0,3}}{_COUNTED}", re.IGNORECASE
)
_COUNTS = re.compile(
    rf"\b(?:count|counts|counted|a\s+total\s+of)\s{{1,3}}{_COUNTED}\s{{1,3}}([^\n:;,.\[\]]{{1,80}})", re.IGNORECASE
)
_ANSWER = re.compile(r"\bthe\s+(?:final\s+|correct\s+)?answer\s+(?:is|should\s+be|must\s+be)\b\s*:?", re.IGNORECASE)


@dataclass(frozen=True)
class TextSpan:
    """A span a text names, `[start, end)` in frames. One written backwards has `end <= start` and no frame."""

    start: int
    end: int


@dataclass(frozen=True)
class TextSeconds:
    """A span a text names in seconds, `[start_s, end_s)` from the beginning of what was shown; backwards as written."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class TextBox:
    """A box a text names, `(x1, y1, x2, y2)` in pixels as written."""

    box: Box
    frame: int | None
    """The frame that the text gives it; None where the text names none."""
    label: str | None
    """The thing that the text calls it, in lower case without its article; None where that cannot be read."""


@dataclass(frozen=True)
class TextCount:
    """A count a text states."""

    label: str
    """What is counted, in lower case."""
    count: int


@dataclass(frozen=True)
class Claims:
    """The claims of a text, each kind in the order of the text."""

    spans: tuple[TextSpan, ...]
    seconds: tuple[TextSeconds, ...]
    """Spans that are given in seconds, none of which is among `spans`."""
    boxes: tuple[TextBox, ...]
    frames: tuple[int, ...]
    """Frames named by themselves, those of boxes too; not the ends of spans."""
    counts: tuple[TextCount, ...]


@lru_cache(maxsize=1)  # each score of a text reads it
def read_claims(text: str) -> Claims:
    """Every span, box, frame and count that a chain of thought states. Never raises.

    Invisible characters hide no claim: marks of no width are ignored, and digits of other scripts are digits.
    """
    text = _readable(text)
    spans, rest = _spans(text)
    mentions = [int(number) for found in _MENTION.finditer(rest) for number in re.findall(r"[0-9]{1,9}", found[1])]
    return Claims(tuple(spans), tuple(_seconds(rest)), tuple(_boxes(text)), tuple(mentions), tuple(_counts(text)))


def _readable(text: str) -> str:
    """A text as its reader sees it, as far as digits and words go."""
    if text.isascii():
        return text
    digits = (str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)
    return "".join(c for c in digits if unicodedata.category(c) not in ("Cf", "Mn") or c.isspace())


def final_answer(text: str) -> str | None:
    """The answer in which a chain of thought ends: what follows its last "the answer is", to the end of the text.

    Full stops and quotes around it are taken off. A text that goes on after its answer gives all of
    that, which is then no answer: a thought must *end* in it. None where there is no such sentence.
    """
    ends = list(_ANSWER.finditer(text))
    if not ends:
        return None
    return text[ends[-1].end() :].strip().strip("\"'“”‘’`*").strip().rstrip(".").strip().strip("\"'“”‘’`*") or None


def _spans(text: str) -> tuple[list[TextSpan], str]:
    """The spans, and the text without them. `and` joins two frames to a span only after `between`."""
    spans = []

    def take(found: re.Match[str]) -> str:
        joined = re.search(r"\band\b", found[0], re.IGNORECASE)
        if joined and not re.search(r"\bbetween\s{1,3}$", text[: found.start()][-12:], re.IGNORECASE):
            return found[0]
        spans.append(TextSpan(int(found[1]), int(found[2]) + 1))
        return " "

    return spans, _SPAN.sub(take, text)


def _seconds(text: str) -> list[TextSeconds]:
    """Spans whose unit is seconds, or which are read off a clock. `and` joins two times only after `between`."""
    found = []
    for hit in _SECONDS.finditer(text):
        before, first, unit, joint, last, end_unit = (
            hit[1],
            hit.group(2, 3, 4),
            hit[5],
            hit[6],
            hit.group(7, 8, 9),
            hit[10],
        )
        clock = first[0] is not None and last[0] is not None
        if joint.lower() == "and" and not re.search(r"\bbetween\s{1,3}$", text[: hit.start()][-12:], re.IGNORECASE):
            continue
        if clock or before or unit or end_unit:
            found.append(TextSeconds(_of_clock(*first), _of_clock(*last)))
    return found


def _of_clock(minutes: str | None, seconds: str | None, plain: str | None) -> float:
    return float(plain) if plain is not None else 60 * float(minutes or 0) + float(seconds or 0)


def _boxes(text: str) -> list[TextBox]:
    boxes: list[TextBox] = []
    before = 0  # end of what has been read of the box before this one
    for found in _BOX.finditer(text):
        between = text[before : found.start()]
        after = _AFTER_BOX.match(text, found.end())
        mention = None if after else _last_mention(between)
        frame = int(after[1]) if after else mention
        goes_on = bool(boxes) and before > 0 and _BETWEEN_BOXES.fullmatch(between) is not None
        label = boxes[-1].label if goes_on else _label(between)
        x1, y1, x2, y2 = (float(found[i]) for i in range(1, 5))
        boxes.append(TextBox((x1, y1, x2, y2), frame, label))
        before = after.end() if after else found.end()
    return boxes


def _last_mention(between: str) -> int | None:
    """The last frame the sentence names before a box."""
    numbers = re.findall(rf"\bframe\s{{0,3}}#?{_FRAME}", _last_sentence(between), re.IGNORECASE)
    return int(numbers[-1]) if numbers else None


def _last_sentence(text: str) -> str:
    ends = list(_SENTENCE_END.finditer(text))
    return text[ends[-1].end() :] if ends else text


def _label(between: str) -> str | None:
    """The thing whose box comes next: the words before "at", without verbs and articles."""
    sentence = _last_sentence(between[-400:]).rstrip()
    head = re.match(r"(.*?)\s+at\s*(?:box|position)?$", sentence, re.IGNORECASE | re.DOTALL)
    if head is None:
        return None
    words = _AFTER_LABEL.sub("", " " + head[1].strip())
    verb = _BEFORE_LABEL.match(words)
    words = words[verb.end() :] if verb else _BEFORE_SUBJECT.sub("", words)
    words = _ARTICLE.sub("", words.strip()).strip().strip("\"'“”‘’").lower()
    readable = words[:1].isalpha() and not words.endswith(",") and not re.search(r"\bframes?\b", words)
    return words if readable and len(words.split()) <= 12 else None


def _counts(text: str) -> list[TextCount]:
    found = [(hit.start(), hit[1], hit[2]) for hit in _COUNT_OF.finditer(text)]
    found += [(hit.start(), hit[2], hit[1]) for hit in _COUNTS.finditer(text)]
    return [TextCount(" ".join(label.lower().split()), _number(number)) for _, label, number in sorted(found)]


def _number(word: str) -> int:
    return _WORDS.index(word.lower()) if word.lower() in _WORDS else int(word)
