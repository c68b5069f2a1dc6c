"""A model's choice among short strings, and reading one from a reply that was free."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """Which option a model chose."""

    option: str | None
    """None where the reply cannot be read as one of them; never a guess."""
    constrained: bool
    """True: the engine let the model say nothing else. False: a free reply was read."""
    reply: str
    """What the model said."""
    silence: str = ""
    """Why it said nothing, where its prompt was refused or its reply was all reasoning; else empty."""
    refused: bool = False
    """Whether its prompt was refused."""


def read_option(reply: str, options: Sequence[str]) -> str | None:
    """The option a free reply begins with, where a full stop, comma or the like ends it and no other option follows.

    Case, and marks around the option, do not matter.

    >>> read_option("**B**: the second", ["A", "B"])
    'B'
    >>> read_option("A door is seen.", ["A", "B"]), read_option("A, or else B", ["A", "B"])
    (None, None)
    """
    found = [option for option in options if _begins(reply, option, 0)]
    found = found or [option for option in options if _begins(reply, option, re.IGNORECASE)]
    if len(found) != 1:
        return None
    said = reply.casefold().split(found[0].casefold(), 1)[1]
    others = [option.casefold() for option in options if option != found[0]]
    return None if any(re.search(rf"(?<!\w){re.escape(other)}(?!\w)", said) for other in others) else found[0]


def _begins(reply: str, option: str, flags: int) -> bool:
    return re.match(rf"[\s\"'“‘`*(\[]*{re.escape(option)}(?:[.,:;!)\]\"'”’`*\n]|\s*$)", reply, flags) is not None
