"""Text as it is compared: without decoration, and as words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_KEPT = 4096
"""Texts whose words are remembered: options, labels and answers are compared with all the others again and again."""
_ARTICLES = ("a", "an", "the")
_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORD = re.compile(r"(?<!\w)-?\d+(?:[.,]\d+)+|(?<!\w)-\d+|[^\W_]+(?:'[^\W_]+)*")
_END = re.compile(
    r"</s>|<\|(?:im_end|endoftext|eot_id|eom_id|end|end_of_text|EOT|return|eos|end_of_turn|END_OF_TURN_TOKEN)\|>"
    r"|<｜end▁of▁sentence｜>|<(?:end_of_turn|eos|end_code|end_of_utterance)>|\[/?INST\]"
)
"""What ends a reply, as tokenisers write it."""
_SPECIAL = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*\w*|<\|[^|<>\n]{1,40}\|>|<(?:s|pad|unk|bos|start_of_turn)>|\[unused\d{1,4}\]|^\s*assistant\s*:",
    re.IGNORECASE,
)
_STYLED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*\{([^{}]{0,300})\}")
_MARKUP = re.compile(r"\*+|`+|__+|~~+|(?m:^\s*(?:#{1,6}|>)\s+)|\$+|\\[()\[\]]")
_SIGNS = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "。": ".", "、": ","}
    | dict.fromkeys("【〔〖「『《〈⟨", "(")
    | dict.fromkeys("】〕〗」』》〉⟩", ")")
    | {chr(start + i): chr(65 + i) for start in (0x1F130, 0x1F150, 0x1F170) for i in range(26)}
)
"""Quotes and brackets of other scripts, and letters in squares and circles."""


_DROPPED = ("So", "Cf", "Cc", "Cs", "Co", "Me")
"""Categories of emoji, and of what cannot be seen."""


@lru_cache(_KEPT)
def plain(text: str) -> str:
    """An answer without case, articles, punctuation and doubled spaces: what two equal answers share."""
    words = re.findall(r"[\w/'-]+", text.casefold())
    return " ".join(word for word in words if word not in _ARTICLES)


def until_end(text: str) -> str:
    """A reply up to the token that ends it, without what a model that did not stop wrote behind."""
    return next((part for part in _END.split(text) if part.strip()), "")


def clean(text: str) -> str:
    """A reply without what its decoder left in it, with full-width and foreign signs as ASCII; bold stays `**`.

    Cut are reasoning in `<think>`, special tokens, what a model that did not stop wrote after its end, and emoji.
    """
    text = text.rpartition("</think>")[2].partition("<think>")[0]
    text = _SPECIAL.sub(" ", until_end(text))
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    text = "".join(
        c for c in text if c in "\n\t" or not (unicodedata.category(c) in _DROPPED or "\ufe00" <= c <= "\ufe0f")
    )
    return _STYLED.sub(r"\1", text).strip()


def unmarked(text: str) -> str:
    """A cleaned text without Markdown and LaTeX marks."""
    return _MARKUP.sub("", text).strip()


@dataclass(frozen=True)
class Word:
    """One word of a text: folded, a number word as digits, and where it stands."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """The words of a cleaned text without articles; all of them where there is nothing else."""
    found = [Word(_folded(hit[0]), hit.start(), hit.end()) for hit in _WORD.finditer(text)]
    return [word for word in found if word.text not in _ARTICLES] or found


def _folded(word: str) -> str:
    word = re.sub(r"^(-?\d+)\.0+$", r"\1", word.casefold())
    return str(_NUMBERS.index(word)) if word in _NUMBERS else word


@lru_cache(_KEPT)
def texts(text: str) -> tuple[str, ...]:
    """`words` of any text, without their places."""
    return tuple(word.text for word in words(unmarked(clean(text))))


def is_number(word: str) -> bool:
    """Whether a word of `words` is a number."""
    return re.fullmatch(r"-?\d+(?:[.,]\d+)*", word) is not None
