r"""Texts as they are typed: which settings are text, by their type, and what is read of a value.

    llm.url=http://[::1]:8000/v1?key=a&b      a text is what stands behind the first `=`
    run='"two words "'                        one pair of quotes around all of it is taken off, as Hydra does
    'ask.options=[yes, it is,no,"a, b"]'      a list stands in brackets, with commas between its texts

Nothing in a text is a command: no `${…}`, no backslash, no `%` or `$`. A text in a list ends at the next comma, and the
blanks around it do not count; one in quotes may hold both. All other types are read by Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, open_dict

from aotd.config.tree import Config
from aotd.errors import UserError


@dataclass(frozen=True)
class TypedText:
    """What was typed for a setting that holds a text, or a list of texts."""

    path: tuple[str, ...]
    """The names that lead to the setting."""
    value: str | list[str] | None
    """None is what an optional text has where nothing is set."""


def typed_text(key: str, value: str) -> TypedText | None:
    """A word of the command line, where its setting is a text or a list of texts by its type; else None.

    Raises:
        UserError: the value of a list is no list.
    """
    found = _setting(key)
    if found is None:
        return None
    path, hint, optional = found
    if optional and value.lower() == "null":
        return TypedText(path, None)
    if hint is str:
        return TypedText(path, unquoted(value))
    return TypedText(path, read_list(key, value)) if hint == list[str] else None


def is_text(key: str) -> bool:
    """Whether a setting is a text or a list of texts."""
    return type_of(key) in (str, list[str])


def type_of(key: str) -> object:
    """The type of a setting, without its None; None where the schema has no such setting."""
    found = _setting(key)
    return found[1] if found else None


def _setting(key: str) -> tuple[tuple[str, ...], Any, bool] | None:
    """Where a setting stands, its type, and whether it may be none; None where the schema has no such setting."""
    hint: Any = Config
    optional, path, left = False, list[str](), key
    while left:
        name, _, left = left.partition(".")
        if is_dataclass(hint):
            hint = get_type_hints(hint).get(name)
        elif get_origin(hint) is dict:
            hint = get_args(hint)[1]
            if hint is str:  # the name is the user's own, and may hold dots
                name, left = f"{name}.{left}" if left else name, ""
        else:
            return None
        path.append(name)
        optional = get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)
        if optional:
            (hint,) = (kind for kind in get_args(hint) if kind is not type(None))
    return (tuple(path), hint, optional) if path else None


_QUOTED = r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
"""A text in quotes. A quote behind a backslash does not end it."""
_PART = re.compile(rf"\s*({_QUOTED}(?=\s*(?:,|\Z))|[^,]*)\s*(,|\Z)", re.DOTALL)
"""What stands in front of a comma."""


def unquoted(text: str) -> str:
    """A text without the one pair of quotes around all of it, where it has one.

    >>> unquoted('"a, b"'), unquoted("'it\\\\'s'"), unquoted("don't"), unquoted("'a' or 'b'")
    ('a, b', "it's", "don't", "'a' or 'b'")
    """
    if not re.fullmatch(_QUOTED, text, re.DOTALL):
        return text
    # As in Hydra, backslashes count in front of a quote, and at the end, only.
    return re.sub(rf"(\\+)({text[0]}|\Z)", lambda found: found[1][: len(found[1]) // 2] + found[2], text[1:-1])


def read_list(key: str, value: str) -> list[str]:
    """A list of texts.

    Raises:
        UserError: it does not stand in brackets, or a text of it is empty and not in quotes.
    """
    inner = value.strip()
    if not (inner.startswith("[") and inner.endswith("]") and len(inner) > 1):
        listed = f"write {key}=[{value}]" if value and not set(value) & set("[]{}") else "write [value, …]"
        raise UserError(f"settings: {key}: it is a list: {listed}")
    inner = inner[1:-1].strip()
    found = split(inner) if inner else []
    if "" in found:
        raise UserError(f"settings: {key}: a text of the list is empty: take the comma away, or write ''")
    return [unquoted(text) for text in found]


def split(text: str) -> list[str]:
    """The parts of a text between commas, without the blanks around them. A part in quotes keeps its commas.

    >>> split("don't know, 'a, b' ,c")
    ["don't know", "'a, b'", 'c']
    """
    parts, at = [], 0
    while True:
        found = _PART.match(text, at)
        assert found is not None, "it matches anything"
        parts.append(found[1].strip())
        if found.end() == len(text) and not found[2]:
            return parts
        at = found.end()


def put(tree: DictConfig, texts: Sequence[TypedText]) -> None:
    """Put texts into composed settings, so that other settings may name them.

    Raises:
        OmegaConfBaseException: one is to stand below a name that is not there.
    """
    for text in texts:
        holder: Any = tree
        for name in text.path[:-1]:
            holder = holder[name]
        with open_dict(holder):
            value = text.value
            holder[text.path[-1]] = [_literal(one) for one in value] if isinstance(value, list) else _literal(value)


def _literal(text: str | None) -> str | None:
    """A text as OmegaConf takes it: what looks like `${…}` is to be no reference to a setting."""
    if text is None:
        return None
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)
