"""What a program may say: an allow-list over its syntax tree, checked before it is ever run.

The check is the first wall, not the only one; `process` is the second.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from aotd.sandbox.child import BUILTINS, FIELDS
from aotd.sandbox.tools import signatures

ENTRY = "execute_command"
PARAMETERS = ("video_clip", "query", "possible_answers")
LONGEST = 20_000
"""Characters; a longer text is no program anyone wrote for one question."""

_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign,
    ast.For, ast.While, ast.If, ast.Break, ast.Continue, ast.Pass, ast.Expr, ast.Call, ast.keyword, ast.Name,
    ast.Load, ast.Store, ast.Constant, ast.Attribute, ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.Dict,
    ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.IfExp, ast.BoolOp,
    ast.BinOp, ast.UnaryOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.JoinedStr,
    ast.FormattedValue, ast.Lambda, ast.Starred, ast.Raise, ast.Assert,
)  # fmt: skip

_METHODS = {
    *("append", "extend", "insert", "pop", "remove", "sort", "reverse", "index", "count", "copy"),
    *("get", "items", "keys", "values", "update", "setdefault", "add", "discard", "union", "intersection"),
    *("lower", "upper", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "join", "replace"),
    *("startswith", "endswith", "find", "rfind", "partition", "rpartition", "capitalize", "title", "isdigit"),
    *("removeprefix", "removesuffix", "difference", "issubset", "issuperset", "casefold"),
}


class InvalidProgramError(Exception):
    """The text is not a program that may run; the message says why, for the ledger and for the author."""


def extract(reply: str) -> str:
    """The program in a model's reply: the first fenced block that defines the entry, else the text from its `def`."""
    for block in re.findall(r"```(?:python|py)?[ \t]*\n(.*?)```", reply, flags=re.DOTALL):
        if f"def {ENTRY}" in block:
            return str(block).strip("\n") + "\n"
    start = reply.find(f"def {ENTRY}")
    text = reply[start:] if start >= 0 else reply
    return text.split("```")[0].strip("\n") + "\n"


def check(code: str, without: Sequence[str] = ()) -> None:
    """Accept a program or say why not.

    Args:
        without: tools that it may not use.

    A program is one or more function definitions, one of them
    `execute_command(video_clip, query, possible_answers)`, and uses the tools, some plain builtins and
    the methods of plain values; no imports, no classes, no names with a leading underscore.

    Raises:
        InvalidProgramError: with the line and the reason.
    """
    if len(code) > LONGEST:
        raise InvalidProgramError(f"longer than {LONGEST} characters")
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        raise InvalidProgramError(
            f"{line}not Python ({error.args[0] if error.args else type(error).__name__})"
        ) from None
    _check_shape(tree)
    tools = {*signatures()}
    known = (tools - {*without}) | {*BUILTINS, *_assigned(tree)}
    for node in ast.walk(tree):
        problem = _problem(node, known, tools)
        if problem:
            line = f"line {node.lineno}: " if hasattr(node, "lineno") else ""
            raise InvalidProgramError(line + problem)


def _check_shape(tree: ast.Module) -> None:
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef):
            raise InvalidProgramError(f"line {statement.lineno}: only function definitions may stand at the top")
    entries = [s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == ENTRY]
    if len(entries) != 1:
        raise InvalidProgramError(f"must define {ENTRY} exactly once, defines it {len(entries)} times")
    entry = entries[0].args
    taken = (*entry.posonlyargs, *entry.args)
    if tuple(arg.arg for arg in taken) != PARAMETERS or entry.vararg or entry.kwarg or entry.kwonlyargs:
        raise InvalidProgramError(f"{ENTRY} must take ({', '.join(PARAMETERS)})")
    if not any(isinstance(node, ast.Return) and node.value for node in ast.walk(entries[0])):
        raise InvalidProgramError(f"{ENTRY} returns nothing")


def _assigned(tree: ast.Module) -> set[str]:
    return {name for node in ast.walk(tree) if (name := _bound(node)) is not None}


def _bound(node: ast.AST) -> str | None:
    """The name that a node gives a value to: a variable, a parameter or a function."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, ast.FunctionDef) else None


def _problem(node: ast.AST, known: set[str], tools: set[str]) -> str | None:
    if not isinstance(node, _NODES):
        return f"{type(node).__name__} is not allowed"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return "decorators are not allowed"
    for name in (getattr(node, "id", None), getattr(node, "arg", None), getattr(node, "name", None)):
        if isinstance(name, str) and name.startswith("_"):
            return f"the name {name} starts with an underscore"
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in known:
        return f"{node.id} is not a tool, a builtin or a variable"
    if _bound(node) in tools:
        return f"{_bound(node)} is a tool and may not be assigned"
    if isinstance(node, ast.Attribute):
        if not isinstance(node.ctx, ast.Load):
            return "attributes may not be assigned"
        if node.attr not in _METHODS and node.attr not in FIELDS:
            return f"the attribute .{node.attr} is not allowed"
    return None
