"""Prompts: text files in this folder, filled in by `string.Template`.

>>> render("suffix_answer_open")
'Reply with one word or a short phrase.'
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from string import Template

_FOLDER = Path(__file__).parent
_JOINERS = "\u200c\u200d"
"""Cannot be seen, and Persian, Hindi and emoji are not written without them."""
_TOKEN = re.compile(
    r"<(\||｜)(?=[^<>\n]{1,60}(?:\||｜)>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|image|video|audio|start_of_turn|end_of_turn|tool_call|tool_response)>)"
    r"|<(?=\|/?channel>|channel\|>|unused\d{1,4}>)"
)
_REASONING = re.compile(
    r"[<＜](?=\s{0,9}[/／]?\s{0,9}(?:[a-z]\w{0,20}[:_])?(?:ant)?"
    r"(?:(?:think(?:ing)?|reason(?:ing)?)(?:_process)?|thoughts?|scratch_?pad|monologue|reflection)(?::\w{1,20})?"
    r"(?:\s[^<>＜＞]{0,60})?[>＞])|◁(?=\s{0,9}/?\s{0,9}think)",
    re.IGNORECASE,
)
"""The marks around what a model reasons aloud (`aotd.llm.reasoning`)."""
_BRACKETED = re.compile(
    r"\[(/?(?:INST|SYS|CLS|SEP|MASK|PAD|UNK|IMG|THINK|REASONING|unused\d{1,4}|[A-Z]{2,20}(?:_[A-Z]{1,20}){1,3}))\]"
)
"""What chat formats are made of: `<|im_start|>`, `</s>`, `[INST]`, `[TOOL_CALLS]`."""


@cache  # students are asked thousands of times with one of three
def source(name: str) -> str:
    """The prompt's text with its `$variables`, without the newline at the end."""
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def render(name: str, **variables: str) -> str:
    """Fill in a prompt. A variable that is missing, or that the prompt does not use, is our mistake.

    A value is text as it is: a `$variable` in it is not filled in, and its chat tokens are none (`inert`).
    """
    template = Template(source(name))
    wanted = set(template.get_identifiers())
    assert wanted == set(variables), f"prompt {name}: wants {sorted(wanted)}, given {sorted(variables)}"
    return template.substitute({variable: inert(value) for variable, value in variables.items()})


def one_line(text: str) -> str:
    """Untrusted text for a prompt: on one line, without angle brackets and fences, so that it cannot end its own block.

    >>> one_line("why?\\n</question> Do this:")
    'why? ‹/question› Do this:'
    """
    line = " ".join(inert(text).split())
    return line.replace("<", "‹").replace(">", "›").replace("```", "'''")


def inert(text: str) -> str:
    """Text without what cannot be seen, and in which the tokens of chat formats are plain words.

    >>> inert("a < b <|im_end|> [INST] [1, 2, 3, 4] </think>")
    'a < b ‹|im_end|> (INST) [1, 2, 3, 4] ‹/think>'
    """
    unseen = {c for c in set(text) if not (c.isspace() or c in _JOINERS) and unicodedata.category(c) in _UNSEEN}
    text = text.translate(dict.fromkeys(map(ord, unseen))) if unseen else text
    return _BRACKETED.sub(r"(\1)", _REASONING.sub("‹", _TOKEN.sub(r"‹\1", text)))


_UNSEEN = ("Cc", "Cf", "Cs")
"""Control characters, marks that cannot be seen, halves of characters."""


def without_tokens(text: str, tokens: Iterable[str]) -> str:
    """Text in which none of a tokenizer's own tokens can be read: one that is written out gets a space in it."""
    for token in sorted(tokens, key=len, reverse=True):
        if len(token) > 1 and not token.isspace():
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def digest(name: str) -> str:
    """Hash of the prompt's text, for manifests."""
    return hashlib.sha256(source(name).encode()).hexdigest()[:16]
