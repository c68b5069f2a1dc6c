"""The shape of the package, held by its imports: rooms, verbs, names, and what is handed to functions."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import aotd
from aotd.verbs import FLOW, STEPS, VERBS

PACKAGE = Path(aotd.__file__).parent
ROOT = {"__init__", "__main__", "records", "errors", "verbs"}
"""The modules that stand in no room; rooms may import `records`, `errors`, `verbs` and the version."""

ROOMS = {
    # below everything
    "runtime": "",
    "scoring": "",
    "prompts": "",
    "walls": "",
    "store": "runtime",
    # what looks, speaks and runs
    "datasets": "runtime store",
    "video": "datasets runtime walls",
    "models": "runtime store video",
    "llm": "models prompts runtime store",
    "video_llms": "llm models prompts store video",
    "specialists": "datasets llm models prompts runtime scoring store video video_llms",
    "tools": "specialists video",
    "sandbox": "tools video walls",
    "students": "llm models prompts runtime specialists store video video_llms",
    # what reads a run
    "view": "prompts scoring specialists store tools video",
    "agents": "llm prompts runtime sandbox scoring specialists store tools video view walls",
    "tracking": "runtime specialists store video view",
    # the verbs of the flow, of which none knows another
    "load": "datasets runtime specialists store video view",
    "select": "datasets runtime sandbox scoring specialists store tools video walls",
    "decompose": "agents datasets llm prompts runtime sandbox store tools",
    "execute": "agents datasets llm runtime sandbox specialists store tools walls",
    "convert": "datasets llm prompts runtime store view",
    "verify": "llm prompts runtime scoring store tools view",
    "grow": "datasets models prompts runtime specialists store students video video_llms view",
    "distill": "datasets prompts runtime specialists store students tracking video_llms",
    "evaluate": "datasets llm models prompts runtime scoring specialists store students video video_llms view",
    "report": "datasets runtime specialists store view",
    "export": "datasets prompts runtime scoring specialists store students video video_llms view",
    "instruct": "datasets llm prompts runtime store",
    # settings, and what is above them
    "config": "convert datasets decompose distill evaluate execute export grow instruct llm load report select "
    "specialists store students tracking verify",
    "serve": "config datasets llm models runtime specialists store video",
    "commands": "agents config convert datasets decompose distill evaluate execute instruct llm load models prompts "
    "runtime sandbox scoring specialists store students tools tracking verify video video_llms view walls",
    "cli": "commands config distill runtime store tools view",
}
"""Room -> the rooms that it may import, from the bottom to the top; a room is written below all that it imports."""
WALLS = {f"aotd.sandbox.{name}" for name in ("child", "layers", "seccomp")}
"""The walls around a process, which the decoder of videos stands behind, too. They count as a room of their own."""
WHOLE = 15
"""So many functions may be handed all settings: those that compose them, and those that hand out their parts."""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    """Name of each module of the package -> its file."""
    paths = PACKAGE.rglob("*.py")
    return {
        ".".join(("aotd", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in paths
    }


def room(module: str) -> str:
    """The room of a module; a module of the root is its own."""
    return "walls" if module in WALLS else module.split(".")[1] if "." in module else "__init__"


@cache
def imported(module: str, *, lazily: bool = True) -> frozenset[str]:
    """The modules of the package that a module imports, in any form.

    Args:
        lazily: also in functions, and for type checkers alone.
    """
    tree, found = parsed(modules()[module]), set[str]()
    late = {id(inner) for node in ast.walk(tree) if is_late(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in late and not lazily:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: write the whole name"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else str(node.module) for name in inner}
    return frozenset(name for name in found if name.split(".")[0] == "aotd")


def is_late(node: ast.AST) -> bool:
    typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    return typing or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, path in modules().items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node


# ── rooms ─────────────────────────────────────────────────────────────────────────────────────────


def test_root_holds_nothing_but_records_errors_verbs_and_rooms() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT
    assert {path.name for path in PACKAGE.glob("*/") if any(path.glob("*.py"))} == set(ROOMS) - {"walls"}


@pytest.mark.parametrize("name", ROOMS)
def test_room_imports_what_it_may(name: str) -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for module in modules():
        if room(module) == name:
            for other in imported(module):
                if room(other) not in (name, *ROOT):
                    used[room(other)].add(f"{module} imports {other}")
    stray = {other: lines for other, lines in used.items() if other not in ROOMS[name].split()}
    assert not stray, "write the room into ROOMS, where that makes no circle, or move what is shared down"
    assert set(used) == set(ROOMS[name].split()), "the room imports less than ROOMS says"


def test_rooms_form_no_cycle() -> None:
    order = list(ROOMS)
    for name, others in ROOMS.items():
        assert [other for other in others.split() if order.index(other) >= order.index(name)] == [], name


def test_files_form_no_cycle() -> None:
    graph = {module: imported(module, lazily=False) - {module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_late_imports_are_those_of_large_libraries_rooms_and_the_entry() -> None:
    """A file that imports another one in a function must not stand below it: else the cycle is only hidden."""
    for module in modules():
        for other in imported(module) - imported(module, lazily=False) - {module}:
            assert module not in reached(other), f"{module} imports {other} in a function to hide a cycle"


@cache
def reached(module: str) -> frozenset[str]:
    """All modules that come with a module."""
    found, left = set[str](), [module]
    while left:
        for other in imported(left.pop(), lazily=False) & modules().keys() - found:
            found.add(other)
            left.append(other)
    return frozenset(found)


# ── verbs ─────────────────────────────────────────────────────────────────────────────────────────

PACKAGES = {verb.name for verb in VERBS.values() if verb.module == f"aotd.{verb.name}.job"}


def test_verbs_package_never_imports_another_verbs() -> None:
    assert set(STEPS) <= PACKAGES
    for module in modules():
        if room(module) in PACKAGES:
            others = {other for other in imported(module) if room(other) in PACKAGES - {room(module)}}
            assert not others, f"{module} imports {others}"


def test_verbs_are_named_in_one_table() -> None:
    for module, path in modules().items():
        for node in ast.walk(parsed(path)):
            parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
            names = {part.value for part in parts if isinstance(part, ast.Constant)} & VERBS.keys()
            assert len(names) < 3 or module == "aotd.verbs", f"{module}:{node.lineno} names {names}"


def test_flow_is_a_part_of_the_steps() -> None:
    assert STEPS == ("load", "select", "decompose", "execute", "convert", "verify", "distill", "evaluate", "report")
    assert FLOW == ("load", "decompose", "execute", "convert", "verify")


@pytest.mark.parametrize("verb", [verb for verb in VERBS.values() if not verb.takes_words], ids=lambda verb: verb.name)
def test_job_takes_the_settings_of_its_row(verb: object) -> None:
    row = VERBS[verb.name]  # type: ignore[attr-defined]
    module = importlib.import_module(row.module)
    expected = ["config"] if row.settings == ("*",) else ["run", *row.settings]
    for name in ("job", "decides"):
        if (function := getattr(module, name, None)) is not None:
            taken = inspect.signature(function).parameters.values()
            needed = [parameter.name for parameter in taken if parameter.default is parameter.empty]
            assert needed == expected, f"{row.module}.{name}"


# ── names, settings, errors ───────────────────────────────────────────────────────────────────────


def test_public_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, path in modules().items():
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    del places["Clip"]  # what a program sees of a video's clip has its name, which stands in programs' errors
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_few_functions_take_all_settings() -> None:
    whole = [
        f"{module}.{node.name}"
        for module, node in functions()
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation is not None and ast.unparse(argument.annotation).split(".")[-1] == "Config"
    ]
    assert len(whole) <= WHOLE, whole
    assert {room(name) for name in whole} <= {"config", "cli", "commands", "serve"}


def test_only_the_sandbox_swallows_everything() -> None:
    for path in modules().values():
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id.endswith("Exception"))
            passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            assert not broad or passed_on or path.parent.name == "sandbox", f"{path}:{node.lineno}"
