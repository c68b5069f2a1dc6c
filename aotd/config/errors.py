"""What Hydra has against a setting, in plain words, with the name that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from enum import Enum
from typing import get_args, get_type_hints

from aotd.errors import meant


def plainly(told: str, tree: type, groups: Iterable[str]) -> str:
    """Hydra's complaint about a key, a choice or a value on one line; empty where it is about something else.

    Args:
        told: all that Hydra and OmegaConf say, advice included.
        tree: the dataclass of all settings.
        groups: the names of the config groups.
    """
    text = " ".join(told.split())
    begins = re.match(r"In '([^']*)': ", text)
    file = f"{begins[1]}: " if begins and begins[1] != "run" else ""
    if found := re.search(r"Could not find '([^']*)' Available options in '([^']*)':(.*)", text):
        group, choices = found[2], found[3].split(" Config search path")[0].split()
        choice = found[1].removeprefix(f"{group}/")
        near = meant(choice, choices, f"{group}=") or ":"
        return f"there is no {group}={choice}{near} it can be {', '.join(choices)}"
    if found := re.search(r"Could not override '([^']*)'\. No match in the defaults list", text):
        return f"{file}there is no group {found[1]}{meant(found[1], groups)}"
    if found := re.search(r"Key '([^']*)' not in '(\w+)'", text):
        within = re.search(r"Could not override '([^']*)'", text) or re.search(r"full_key: (\S+)", text)
        key = _whole(within[1] if within else "", found[1])
        if renamed := RENAMED.get(key):
            return f"{file}there is no setting {key} any more: it is {renamed}"
        holder, _, last = key.rpartition(".")
        fields = _classes(tree).get(found[2], ())
        near = meant(last, fields, f"{holder}." if holder else "") if found[2] != tree.__name__ else ""
        return f"{file}there is no setting {key}{near or meant(key, [*setting_names(tree), *groups])}"
    if found := re.search(r"Key '[^']*' is not in struct full_key: (\S+)", text):
        return f"{file}there is no setting {found[1]}, and a new name goes into an experiment file"
    if found := re.search(
        r"Error merging override \+*([^=\s]+)=.* Invalid type assigned: dict is not a subclass", text
    ):
        return f"{file}{found[1]} cannot be added here: a new name goes into an experiment file"
    where = re.search(r"Error merging override \+*([^=\s]+)=", text) or re.search(r"full_key: (\S+)", text)
    at = f"{file}{where[1]}: " if where else file
    if where and (found := re.search(r"Invalid type assigned: \w+ is not a subclass of (\w+)", text)):
        held = [f"{where[1]}.{name}" for name in _classes(tree).get(found[1], ())]
        more = ", …" if len(held) > 5 else ""
        return f"{at}it holds settings, and no value: set {', '.join(held[:5])}{more}"
    if where and "Cannot merge DictConfig with ListConfig" in text:
        return f"{at}it holds settings by their names, and is no list"
    if re.search(r"field '[^']*' is not Optional", text):
        return f"{at}null is no value of it"
    if "Config group override must be a string or a list. Got NoneType" in text:
        return f"{file}null is no choice of a group: `aotd VERB --help` lists the choices"
    if found := re.search(r"Invalid value '(.*?)', expected one of \[([^]]*)\]", text):
        choices = found[2].split(", ")
        return f"{at}{found[1]!r} is none of {', '.join(choices)}{meant(found[1], choices)}"
    if found := re.search(r"Value '(.*?)' (?:of type '\w+' could not be converted to|is not a valid) (\w+)", text):
        kind = found[2]
        return f"{at}{found[1]!r} is {_KINDS.get(kind, f'no {kind}')}"
    if re.search(r"Cannot assign \w+ to Dict", text):
        return f"{at}it holds a value for each name: write {where[1] if where else ''}.NAME=value"
    if re.search(r"Invalid value assigned: \w+ is not a ListConfig", text):
        return f"{at}it is a list: write [value, …]"
    return ""


def unreadable(word: str, kind: object, names: Iterable[str], groups: Iterable[str]) -> str:
    """What is said of a word whose value is no value in Hydra's grammar.

    Args:
        kind: the type of the setting; None where there is none of its name.
        names: of all settings.
        groups: the names of the config groups.
    """
    key, _, value = word.partition("=")
    name = key.lstrip("+~")
    if name.partition("@")[0] in groups:
        return f"there is no {word}: `aotd VERB --help` lists the choices"
    if kind is None and not name.startswith("hydra"):
        return f"there is no setting {name}{meant(name, names)}"
    if told := next((told for one, told in _TYPES.items() if one is kind), ""):
        return f"{name}: {value!r} is {told}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"{name}: {value!r} is none of {', '.join(choice.value for choice in kind)}"
    return f"{name}: {value} cannot be read: put each text in it into quotes, as [{{name: 'a (b)'}}]"


RENAMED = {
    "decompose.shown": "decompose.examples",
    "decompose.without": "decompose.exclude_tools",
    "distill.batch": "distill.questions_per_step",
    "distill.group": "distill.questions_per_video",
    "distill.recompute": "distill.gradient_checkpointing",
    "distill.tokens": "distill.max_tokens_per_batch",
    "evaluate.against": "evaluate.baseline_run",
    "evaluate.others": "evaluate.external",
    "execute.programs": "execute.concurrency",
    "llm.context": "llm.max_model_len",
    "llm.memory_share": "llm.gpu_memory_utilization",
    "student.lora": "student.lora_rank",
    "student.small": "student=onevision_small",
}
"""Setting of version 0.1 -> its name now. The nearest name is another setting for most of them."""

_KINDS = {"Integer": "no whole number", "Float": "no number", "bool": "neither true nor false"}
_TYPES = {int: _KINDS["Integer"], float: _KINDS["Float"], bool: _KINDS["bool"]}


def _whole(at: str, key: str) -> str:
    """The dotted name of a key that is not there: what is said of its place may end with it or not, or go beyond it."""
    return at if key in (at, at.rpartition(".")[2], at.partition(".")[0]) else f"{at}.{key}".lstrip(".")


def setting_names(kind: type, at: str = "") -> Iterator[str]:
    """The dotted names of all settings below a dataclass."""
    for name, hint in get_type_hints(kind).items():
        yield f"{at}{name}"
        if is_dataclass(hint):
            assert isinstance(hint, type)
            yield from setting_names(hint, f"{at}{name}.")


def _classes(kind: type) -> dict[str, list[str]]:
    """Name of each dataclass in a tree of them -> its settings."""
    hints = get_type_hints(kind)
    found = {kind.__name__: list(hints)}
    for hint in hints.values():
        for inner in (hint, *get_args(hint)):
            if isinstance(inner, type) and is_dataclass(inner):
                found |= _classes(inner)
    return found
