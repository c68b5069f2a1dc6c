"""Compose YAML files and the command line into a `Config`, once, at a job's door.

No OmegaConf object goes past it, and nothing is ever built from an importable string.
"""

from __future__ import annotations

import copy
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException
from omegaconf.resolvers import oc
from yaml import YAMLError

from aotd.config.errors import plainly, setting_names, unreadable
from aotd.config.ranges import out_of_range
from aotd.config.texts import TypedText, put, type_of
from aotd.config.tree import Config
from aotd.datasets.benchmarks import check_name
from aotd.errors import UserError, meant
from aotd.select import SelectConfig
from aotd.specialists import SpecialistsConfig
from aotd.specialists.subtasks import SUBTASKS
from aotd.store.shipped import group_names, shipped
from aotd.store.untrusted import DEEPEST, is_file

ConfigStore.instance().store(name="schema", node=Config)


def compose(overrides: Sequence[str], own: str = "", texts: Sequence[TypedText] = ()) -> Config:
    """The settings of a job.

    Args:
        overrides: words in Hydra's grammar.
        own: a folder of further config files, laid out as `configs/` is; values only, and untrusted.
        texts: what was typed for settings that are text; put in last, so that nothing of it is read as grammar.

    Raises:
        UserError: an unknown setting, a value of the wrong type, an unknown choice, a number beyond all others, or one
            that asks for the environment; no such folder, or a file in it that is not plain YAML.
    """
    if any(word.lstrip("+~").startswith("hydra") for word in overrides):
        raise UserError(
            "settings: there is no setting hydra: aotd reads its own settings; hydra/launcher=… and hydra.launcher.… "
            "go with -m (see docs/settings.md)"
        )
    if own:
        if not Path(own).is_dir():
            raise UserError(f"configs={own}: there is no such folder")
        _check_files(Path(own))
        overrides = [f"hydra.searchpath=[{Path(own).resolve().as_uri()}]", *overrides]
    try:
        with without_environment(), initialize_config_dir(str(shipped("configs")), version_base="1.3"):
            tree = hydra_compose("run", overrides=list(overrides)) if own else copy.deepcopy(_shipped(tuple(overrides)))
            put(tree, texts)
            config: Any = OmegaConf.to_object(tree)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(one_line(error)) from None
    except RecursionError:
        where = f"a value or a file of configs={own}" if own else "a value"
        raise UserError(f"settings: {where} is nested too deeply") from None
    except (ValueError, OverflowError) as error:  # a number of more digits than Python reads
        raise UserError(one_line(error)) from None
    assert isinstance(config, Config)
    if stray := next(_strays(config, ""), ""):
        raise UserError(f"settings: there is no setting {stray} (see `aotd VERB --help`)")
    if odd := next(_odd(config, ""), ""):
        raise UserError(f"settings: {odd}")
    check_name(config.dataset.name)
    if unknown := next(_unknown_specialists(config.specialists, config.select), ""):
        raise UserError(f"settings: {unknown}")
    return config


@functools.lru_cache(maxsize=32)
def _shipped(overrides: tuple[str, ...]) -> DictConfig:
    """Hydra's tree of the files that are shipped, which do not change while we run; inside `initialize_config_dir`."""
    return hydra_compose("run", overrides=list(overrides))


def _unknown_specialists(specialists: SpecialistsConfig, select: SelectConfig) -> Iterator[str]:
    """Names of specialists that the table of sub-tasks does not have; it may have more than when we were installed."""
    for subtask in SUBTASKS.values():
        known = list(subtask.builders)
        parts = [(f"specialists.{subtask.name}.name", getattr(specialists, subtask.name).name)]
        parts += [(f"select.{subtask.name}", candidate.name) for candidate in getattr(select, subtask.name)]
        for setting, name in parts:
            if name not in known:
                yield f"{setting}: {name!r} is none of {', '.join(known)}{meant(name, known)}"


def _check_files(folder: Path) -> None:
    """What a stranger's YAML can do before a value of it is looked at.

    An alias stands for what it names as often as it is written: ten lines of them fill any memory.

    Raises:
        UserError: a file is none, is too long, is not UTF-8, or has aliases.
    """
    found = list(itertools.islice(folder.rglob("*"), _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise UserError(f"configs={folder} holds more than {_MOST_FILES} files: give a folder of config files alone")
    for path in found:
        if path.suffix != ".yaml":
            continue
        if not is_file(path) or path.stat().st_size > _LONGEST:
            raise UserError(f"configs: {path} is longer than {_LONGEST >> 10} KiB, and no config file is")
        try:
            text = path.read_text(encoding="utf-8")
            depth = 0
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > DEEPEST:
                    raise UserError(f"configs: {path} is nested too deeply")
                if isinstance(event, yaml.AliasEvent):
                    raise UserError(
                        f"configs: {path}:{event.start_mark.line + 1}: no aliases (*{event.anchor}): "
                        "write the value out"
                    )
            top = yaml.compose(text, Loader=yaml.SafeLoader)
            if "hydra" in path.relative_to(folder).parts or _names_hydra(text, top):
                raise UserError(f"configs: {path}: there is no setting hydra: aotd reads its own settings")
        except UnicodeDecodeError as error:
            raise UserError(f"configs: {path} is not UTF-8 ({error})") from None
        except OSError as error:
            raise UserError(f"configs: {path} cannot be read ({error.strerror})") from None
        except YAMLError:
            continue  # Hydra says so when it is asked for that file


def _names_hydra(text: str, top: Any) -> bool:
    """Whether a file sets anything of Hydra's own, or chooses among its groups."""
    if re.search(r"^\s*#\s*@package\s+hydra\b", text, re.MULTILINE):
        return True
    for key, value in _pairs(top):
        chosen = value.value if key.value == "defaults" and isinstance(value, yaml.SequenceNode) else []
        names = [key, *(name for item in chosen for name in ([one for one, _ in _pairs(item)] or [item]))]
        if any(isinstance(name, yaml.ScalarNode) and "hydra" in re.split(r"[\s/@.]+", name.value) for name in names):
            return True
    return False


def _pairs(node: Any) -> list[Any]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


_MOST_FILES = 10_000
_LONGEST = 1 << 18
"""Bytes of a config file."""


def _odd(part: Any, at: str) -> Iterator[str]:
    """Settings that cannot be: numbers out of their range, infinite, NaN, or long; texts that no file can hold."""
    if isinstance(part, int | float) and not abs(part) < 10**18:
        yield f"{at} must be a number, and not larger than any"
    elif isinstance(part, int | float) and (must := out_of_range(at, part)):
        yield f"{at}={part} {must}"
    elif isinstance(part, str) and ("\0" in part or part.encode(errors="ignore").decode() != part):
        yield f"{at} holds a zero byte or half of a character"
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _odd(item, at)
    elif isinstance(part, dict) or is_dataclass(part):
        for name, value in (part if isinstance(part, dict) else vars(part)).items():
            yield from _odd(value, f"{at}.{name}" if at else str(name))


@contextmanager
def without_environment() -> Iterator[None]:
    """A config file may be a stranger's: what it sets is written into runs, where no secret of ours belongs."""
    OmegaConf.register_new_resolver("oc.env", _refuse_environment, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _refuse_environment(name: object, *_: object) -> str:
    raise InterpolationResolutionError(
        f"${{oc.env:{name}}}: settings do not read the environment: write the value itself"
    )


def _strays(part: Any, at: str) -> Iterator[str]:
    """Settings that no schema knows; Hydra lets them in behind a `+`."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from _strays(value, f"{at}{name}.")
    elif is_dataclass(part):
        known = {item.name for item in fields(part)}
        for name, value in vars(part).items():
            if name not in known:
                yield f"{at}{name}"
            yield from _strays(value, f"{at}{name}.")


def one_line(error: Exception) -> str:
    """Hydra's complaint and its cause on one line, without the advice for Hydra's own users."""
    if isinstance(error, OverrideParseException):
        kind = type_of(error.override.partition("=")[0].lstrip("+~"))
        return f"settings: {unreadable(error.override, kind, setting_names(Config), group_names())}"
    told = [str(error), str(error.__cause__ or "")]
    if plain := plainly("\n".join(told), Config, group_names()):
        return f"settings: {plain}"
    if "Ambiguous value" in told[0]:
        word = told[0].splitlines()[0].partition("argument ")[2].strip("'")
        key, _, value = word.partition("=")
        listed = "" if key.partition("@")[0] in group_names() else f"write {key}=[{value}] for a list, or "
        return f"settings: {word}: {listed}add -m to sweep over these values"
    lines = [line.strip() for text in told for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith(_ADVICE)]
    return "settings: " + " ".join(dict.fromkeys(kept)) + " (see `aotd VERB --help`)"


_ADVICE = (
    *("full_key:", "object_type=", "reference_type=", "To append"),
    *("See https://", "Config search path:", "provider="),
)
