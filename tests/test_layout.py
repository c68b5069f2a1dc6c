"""The shape of the package, held by its imports (design §2)."""

from __future__ import annotations

import ast
from pathlib import Path

import aotd
from aotd.cli import JOBS

PACKAGE = Path(aotd.__file__).parent
VERBS = ("load", "decompose", "execute", "convert", "verify", "distill", "evaluate", "report")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_a_verbs_package_never_imports_another_verbs() -> None:
    for verb in VERBS:
        for path in (PACKAGE / verb).rglob("*.py"):
            others = {other for other in VERBS if other != verb}
            bad = [name for name in imported(path) if any(name.startswith(f"aotd.{other}.") for other in others)]
            assert not bad, f"{path.name} of {verb} imports {bad}"


def test_every_verb_of_the_flow_has_a_job_in_its_order() -> None:
    assert tuple(JOBS)[: len(VERBS)] == VERBS


def test_only_the_sandbox_catches_everything() -> None:
    for path in PACKAGE.rglob("*.py"):
        broad = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ExceptHandler)
            and (
                node.type is None
                or (isinstance(node.type, ast.Name) and "Exception" in (node.type.id, node.type.id[4:]))
            )
        ]
        assert not broad or path.parent.name == "sandbox", path
