"""The shape of the package, held by its imports (design §2)."""

from __future__ import annotations

import ast
from pathlib import Path

import aotd
from aotd.verbs import STEPS

PACKAGE = Path(aotd.__file__).parent
VERBS = ("load", "select", "decompose", "execute", "convert", "verify", "distill", "evaluate", "report")


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
    assert STEPS == VERBS


def test_only_the_sandbox_swallows_everything() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id.endswith("Exception"))
            passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            assert not broad or passed_on or path.parent.name == "sandbox", f"{path}:{node.lineno}"
