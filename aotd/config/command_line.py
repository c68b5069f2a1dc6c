"""Read `key=value` words and Hydra's own flags from the command line."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from aotd.config.compose import compose
from aotd.config.tree import Config
from aotd.errors import UserError

TEXT_OF_ASK = ("video", "question", "mode", "by")
TEXT_OF_DATASET = tuple(f"dataset.{key}" for key in ("root", "questions", "spans", "answers", "cuts", "type_by"))
TEXT_OF_DATA = (*TEXT_OF_DATASET, "specialists.captions", "specialists.embedder", "select.actions")
TEXT_OF_EVALUATE = ("evaluate.baseline_run", "evaluate.train_root")
TEXT = ("run", "export.to", *TEXT_OF_EVALUATE, *TEXT_OF_DATA, *(f"ask.{key}" for key in TEXT_OF_ASK))
"""Settings that are text or paths: taken as typed, never parsed as Hydra's grammar or interpolated."""
TEXT_BY_NAME = ("evaluate.external",)
"""The same of settings that hold one for each name: `evaluate.external.NAME=PATH`."""


@dataclass
class Flags:
    """What is asked of a verb beside its settings; named as Hydra names it."""

    sweep: bool = False
    """-m: one job for each point."""
    show: bool = False
    """--cfg job: print the settings."""
    part: str = ""
    """--package NAME: this part of them."""


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
        elif word.startswith("-") or not given:
            raise UserError(f"{word!r} is not a setting: write key=value, or see `aotd {verb} --help`")
        else:
            settings.append(word)
    if flags.sweep and flags.show:
        raise UserError("-m and --cfg do not go together: --cfg job shows the settings of one job")
    if flags.part and not flags.show:
        raise UserError(f"--package {flags.part} goes with --cfg job")
    return flags, settings


def read_settings(verb: str, words: Sequence[str]) -> Config:
    """The settings of a verb from `key=value` words. `ask` may leave out its own prefix.

    Raises:
        UserError: an unknown setting or a value of the wrong type.
    """
    texts, overrides, own = {}, [], ""
    for word in words:
        key, value = word.split("=", 1)
        if verb == "ask" and key in (*TEXT_OF_ASK, "options"):
            key = f"ask.{key}"
        if key == "configs":
            own = value
        elif key in TEXT or key.rpartition(".")[0] in TEXT_BY_NAME:
            texts[key] = value
        else:
            overrides.append(f"{key}={value}")
    config = compose(overrides, own)
    for key, value in texts.items():
        *parents, name = key.split(".")
        holder = functools.reduce(getattr, parents, config)
        if isinstance(holder, dict):
            holder[name] = value
        else:
            setattr(holder, name, value)
    if not config.run:
        raise UserError("run= is empty: name the folder of the run")
    return config
