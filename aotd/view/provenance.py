"""What was run: the manifests of a run as rows of a table, and the meaning of each outcome."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotd.records import Outcome
from aotd.store.run import Run
from aotd.store.untrusted import read_manifest
from aotd.verbs import FLOW


@dataclass(frozen=True)
class Provenance:
    """How one verb's folder was made."""

    folder: str
    version: str
    settings: tuple[tuple[str, str], ...]
    models: tuple[tuple[str, str], ...]
    hashes: tuple[tuple[str, str], ...]
    """Of inputs and prompts."""


def provenance(run: Run) -> list[Provenance]:
    """The manifests of a run, in the order of the flow.

    Raises:
        UserError: a manifest is damaged.
    """
    order = [*FLOW, "distill", "evaluate"]
    paths = [
        path for verb in order for path in (run.folder / verb).rglob("manifest.json")
    ]  # a verb's folder may be a link
    paths.sort(key=lambda path: (order.index(path.relative_to(run.folder).parts[0]), path))
    return [_provenance(run.folder, path) for path in paths]


def headline(made: list[Provenance]) -> list[tuple[str, str]]:
    """In a few lines what was run: who wrote, saw and judged, and which students were trained."""
    by = {fact.folder: fact for fact in made}
    settings = {verb: dict(by[verb].settings) if verb in by else {} for verb in FLOW}
    models = {verb: list(dict.fromkeys(value for _, value in by[verb].models)) if verb in by else [] for verb in FLOW}
    judges = dict.fromkeys(settings["verify"].get(name, "") for name in ("coherence", "open_answer"))
    students = [fact.folder.split("/")[1] for fact in made if fact.folder.startswith("distill/")]
    lines = {
        "questions": [settings["load"].get("dataset", "")],
        "programs by": [settings["decompose"].get("author", ""), *models["decompose"]],
        "seen by": models["execute"],
        "thoughts by": [settings["convert"].get("writer", ""), *models["convert"]],
        "judged by": [*judges, *models["verify"]],
        "students": list(dict.fromkeys(students)),
        "aotd": list(dict.fromkeys(fact.version for fact in made)),
    }
    texts = {name: ", ".join(word for word in words if word) for name, words in lines.items()}
    return [(name, text) for name, text in texts.items() if text]


def _provenance(folder: Path, path: Path) -> Provenance:
    manifest = read_manifest(path)
    groups = {name: tuple(_leaves(value)) for name, value in manifest.items() if isinstance(value, dict)}
    hashes = [
        (f"{name} {key}", value)
        for name, leaves in groups.items()
        if name not in ("settings", "models")
        for key, value in leaves
    ]
    return Provenance(
        folder=path.parent.relative_to(folder).as_posix(),
        version=f"{manifest.get('version', '?')} (schema {manifest.get('schema', '?')})",
        settings=groups.get("settings", ()),
        models=groups.get("models", ()),
        hashes=tuple(hashes),
    )


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    """The leaves of nested dicts as (dotted name, text)."""
    if isinstance(value, dict) and value:
        return [leaf for key, part in value.items() for leaf in _leaves(part, f"{name}.{key}" if name else str(key))]
    return [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]


def meanings() -> dict[str, str]:
    """Outcome -> the sentence that stands under it in `aotd.records`."""
    body = ast.parse(textwrap.dedent(inspect.getsource(Outcome))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for item, after in zip(body.body, body.body[1:], strict=False):
        text = after.value if isinstance(after, ast.Expr) else None
        if isinstance(item, ast.Assign) and isinstance(text, ast.Constant) and isinstance(text.value, str):
            assert isinstance(item.value, ast.Constant)
            found[str(item.value.value)] = " ".join(text.value.split())
    return found
