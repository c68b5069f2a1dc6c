"""What a verb can be told: its settings with their defaults and meaning, and the choices of the config groups."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import yaml

from aotd.config.compose import compose
from aotd.config.tree import Config
from aotd.errors import UserError, meant
from aotd.llm import RoleLLMConfig
from aotd.store.shipped import shipped
from aotd.verbs import Verb


def describe(verb: Verb, about: str) -> str:
    """Help of a verb: what its module says, its settings, and the groups it can take with a sentence on each choice."""
    whole = compose([])
    own = [verb.name] if is_dataclass(getattr(whole, verb.name, None)) else []
    everything = verb.settings == ("*",)
    heeds = [part for part in ("cache", "tracking") if everything or part in verb.settings]
    heeds += ["tracking"] if verb.in_run and "tracking" not in heeds else []
    lines = [about.strip(), "", "settings (key=value):"]
    alone = {"run": True, "seed": everything or "seed" in verb.settings, "first_losses": verb.per_question}
    lines += [_line(name, getattr(whole, name), _field_docs(Config)[name]) for name, shown in alone.items() if shown]
    for part in dict.fromkeys([*own, *(() if verb.name == "ask" else verb.explains), *heeds]):
        lines += _settings(getattr(whole, part), part)
    lines += ["", "groups (group=choice, each a set of values in configs/):"]
    for group, choices in groups().items():
        if group.split("/")[0] in verb.explains or group == "experiment" or (everything and not verb.explains):
            lines += [f"  {group}", *(f"    {choice:<20} {sentence}" for choice, sentence in choices.items())]
    lines += [
        "",
        "-m sweeps over values (key=a,b), --cfg job prints all settings and does nothing, -v says more, "
        "-q less: docs/settings.md.",
    ]
    return "\n".join(lines)


def groups() -> dict[str, dict[str, str]]:
    """Config group -> choice -> the sentence that begins its file."""
    configs, found = shipped("configs"), dict[str, dict[str, str]]()
    for path in sorted(configs.rglob("*.yaml")):
        if path.parent != configs:
            group = path.parent.relative_to(configs).as_posix()
            found.setdefault(group, {})[path.stem] = sentence(path.read_text(encoding="utf-8"))
    return dict(sorted(found.items()))


def sentence(text: str) -> str:
    """The first comment of a config file, Hydra's own `# @package` aside; empty where it begins with something else."""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            return line.lstrip("# ")
    return ""


def settings_text(config: Config, part: str = "", *, ascii_only: bool = False) -> str:
    """Settings as YAML.

    Args:
        part: a dotted name, to show that part alone.
        ascii_only: spell out all other characters, so that nothing of a value is lost.

    Raises:
        UserError: there is no such part.
    """
    shown: Any = _plain(config)
    for name in part.split(".") if part else ():
        if not isinstance(shown, Mapping) or name not in shown:
            known = list(shown) if isinstance(shown, Mapping) else []
            raise UserError(f"--package {part}: there is no {name}{meant(name, known)}")
        shown = shown[name]
    text: str = yaml.safe_dump(shown, sort_keys=False, allow_unicode=not ascii_only)
    return text.removesuffix("...\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, RoleLLMConfig):
        return {name: _plain(own) for name, own in vars(value).items() if own is not None}
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _settings(part: Any, prefix: str) -> list[str]:
    meanings = _field_docs(type(part))
    lines = []
    for item in fields(part):
        value = getattr(part, item.name)
        if isinstance(value, RoleLLMConfig):
            setting = f"{prefix}.{item.name}"
            lines.append(
                f"  {f'{setting}.KEY=…':<40} {meanings[item.name]} Any setting of `llm`, or llm@{setting}=CHOICE."
            )
            continue
        if is_dataclass(value):
            lines += _settings(value, f"{prefix}.{item.name}")
            continue
        lines.append(_line(f"{prefix}.{item.name}", value, meanings.get(item.name, "")))
    return lines


def _line(setting: str, value: Any, meaning: str) -> str:
    shown = value.value if isinstance(value, Enum) else value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if any(is_dataclass(one) for one in inner):  # as it can be typed
        shown = yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10**9).strip()
    return f"  {f'{setting}={shown}':<40} {meaning}".rstrip()


def _field_docs(kind: type) -> dict[str, str]:
    """Field -> the string under it in the source of the dataclass, or of the one it extends, on one line."""
    docs: dict[str, str] = {}
    for base in kind.__bases__:
        if is_dataclass(base):
            docs |= _field_docs(base)
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for item, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                docs[item.target.id] = " ".join(text.value.split())
    return docs
