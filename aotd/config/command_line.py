"""Read `key=value` words and Hydra's own flags from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from aotd.config.compose import compose
from aotd.config.texts import typed_text
from aotd.config.tree import AskConfig, Config
from aotd.errors import UserError

VERBS_WITH_JSON = ("doctor", "evaluate")
"""Verbs with settings that take `--json`; `show` and `status` read their own words."""


@dataclass
class Flags:
    """What is asked of a verb beside its settings; named as Hydra names it."""

    sweep: bool = False
    """-m: one job for each point."""
    show: bool = False
    """--cfg job: print the settings."""
    part: str = ""
    """--package NAME: this part of them."""
    json: bool = False
    """--json: print one JSON document instead of tables."""


def read_flags(verb: str, words: Sequence[str]) -> tuple[Flags, list[str]]:
    """What Hydra's own flags ask for, and the `key=value` words.

    Raises:
        UserError: a word is neither, or flags that do not go together.
    """
    flags, settings, left = Flags(), list[str](), iter(words)
    for word in left:
        flag, given, value = word.partition("=")
        if flag in ("-m", "--multirun") and not given:
            flags.sweep = True
        elif flag in ("-c", "--cfg"):
            if (value if given else next(left, "")) != "job":
                raise UserError(f"{word}: write --cfg job to see the settings of `aotd {verb}`")
            flags.show = True
        elif flag in ("-p", "--package"):
            flags.part = value if given else next(left, "")
        elif word == "--json" and verb in VERBS_WITH_JSON:
            flags.json = True
        elif word.startswith(("-", "=")) or not given:
            raise UserError(f"{word!r} is not a setting: write key=value, or see `aotd {verb} --help`")
        else:
            settings.append(word)
    if flags.sweep and flags.show:
        raise UserError("-m and --cfg do not go together: --cfg job shows the settings of one job")
    if flags.json and (flags.sweep or flags.show):
        raise UserError(f"--json goes with a job of `aotd {verb}`: not with -m, nor with --cfg, which prints YAML")
    if flags.part and not flags.show:
        raise UserError(f"--package {flags.part} goes with --cfg job")
    return flags, settings


def read_settings(verb: str, words: Sequence[str]) -> Config:
    """The settings of a verb from `key=value` words. `ask` may leave out its own prefix.

    Raises:
        UserError: an unknown setting or a value of the wrong type.
    """
    texts, overrides, own = [], [], ""
    for word in words:
        key, value = word.split("=", 1)
        key = whole_key(verb, key)
        if key == "configs":
            own = value
        elif (text := typed_text(key.lstrip("+"), value)) is not None:
            texts.append(text)
        else:
            overrides.append(f"{key}={value}")
    config = compose(overrides, own, texts)
    if not config.run:
        raise UserError("run= is empty: name the folder of the run")
    return config


def whole_key(verb: str, key: str) -> str:
    """The name of a setting as it stands in the tree; `ask` may leave out its own prefix."""
    plus = key[: len(key) - len(key.lstrip("+"))]
    own = verb == "ask" and key[len(plus) :] in {item.name for item in fields(AskConfig)}
    return f"{plus}ask.{key[len(plus) :]}" if own else key
