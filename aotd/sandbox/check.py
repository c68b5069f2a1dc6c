"""The syntax check of programs: an allow-list over the syntax tree, before a program is ever run.

The check is the first wall; `process` is the second.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from aotd.sandbox.child import BUILTINS, FIELDS
from aotd.tools.toolbox import Toolbox

ENTRY = "execute_command"
PARAMETERS = ("video_clip", "query", "possible_answers")
LONGEST = 20_000
"""Characters; a longer text is no program anyone wrote for one question."""
_CACHED = 256
"""Accepted texts in the cache: where the annotation writes programs, many questions have the same one."""

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
    *("isalpha", "isalnum", "isnumeric", "isspace", "islower", "isupper", "rindex", "clear", "isdisjoint"),
}


class InvalidProgramError(Exception):
    """The text is not a program that may run; the message says why, for the ledger and for the author."""


def check(code: str, toolbox: Toolbox) -> None:
    """Accept a program or say why not.

    Args:
        toolbox: the tools that it may use.

    A program is one or more function definitions, one of them
    `execute_command(video_clip, query, possible_answers)`, whatever it calls the three, and uses the tools, some
    plain builtins and the methods of plain values; no imports, no classes, no names with a leading underscore.

    Raises:
        InvalidProgramError: with the line and the reason.
    """
    _check(code, toolbox.names, toolbox.reserved)


@lru_cache(_CACHED)
def _check(code: str, tools: tuple[str, ...], reserved: frozenset[str]) -> None:
    tree = syntax_tree(code)
    _check_shape(tree)
    everywhere = _Scope({*tools, *BUILTINS, *_bound_in(tree.body)}, None)
    for node, scope in _walk(tree, everywhere):
        problem = _problem(node, scope, reserved)
        if problem:
            line = f"line {node.lineno}: " if hasattr(node, "lineno") else ""
            raise InvalidProgramError(line + problem)


def syntax_tree(code: str) -> ast.Module:
    """A program's text as Python reads it.

    Raises:
        InvalidProgramError: it is no Python, or too long.
    """
    if len(code) > LONGEST:
        raise InvalidProgramError(f"longer than {LONGEST} characters")
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        raise InvalidProgramError(
            f"{line}not Python ({error.args[0] if error.args else type(error).__name__})"
        ) from None


def _check_shape(tree: ast.Module) -> None:
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef):
            raise InvalidProgramError(f"line {statement.lineno}: only function definitions may stand at the top")
    entries = [s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == ENTRY]
    if len(entries) != 1:
        raise InvalidProgramError(f"must define {ENTRY} exactly once, defines it {len(entries)} times")
    entry = entries[0].args
    taken = (*entry.posonlyargs, *entry.args)
    # They are handed over by position, so that they may have other names.
    if len(taken) != len(PARAMETERS) or entry.vararg or entry.kwarg or entry.kwonlyargs:
        raise InvalidProgramError(f"{ENTRY} must take ({', '.join(PARAMETERS)})")
    if not any(isinstance(node, ast.Return) and node.value for node in ast.walk(entries[0])):
        raise InvalidProgramError(f"{ENTRY} returns nothing")


@dataclass(frozen=True)
class _Scope:
    """The names of a function, a lambda or a comprehension, and the scope around it."""

    names: set[str]
    around: _Scope | None

    def knows(self, name: str) -> bool:
        scope: _Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.around
        return scope is not None


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _walk(tree: ast.Module, everywhere: _Scope) -> Iterator[tuple[ast.AST, _Scope]]:
    """Every node with the scope in which Python looks for its name; in the order of `ast.walk`, no recursion."""
    todo: deque[tuple[ast.AST, _Scope]] = deque([(tree, everywhere)])
    while todo:
        node, scope = todo.popleft()
        yield node, scope
        inside = _inside(node)
        own = _Scope(_own_names(node, inside), scope) if inside else scope
        if isinstance(node, _COMPREHENSIONS):
            todo.append((node.generators[0].iter, scope))  # looked for around it, as defaults of parameters are
            todo.extend((child, own) for child in inside)
        else:
            body = {id(child) for child in inside}
            todo.extend((child, own if id(child) in body else scope) for child in ast.iter_child_nodes(node))


def _inside(node: ast.AST) -> list[ast.AST]:
    """What of a node stands in a scope of its own; nothing of most."""
    if isinstance(node, ast.FunctionDef):
        return [*node.body]
    if isinstance(node, ast.Lambda):
        return [node.body]
    if isinstance(node, _COMPREHENSIONS):
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        clauses = [child for part in node.generators for child in (part.target, *part.ifs)]
        return [*values, *clauses, *(part.iter for part in node.generators[1:])]
    return []


def _own_names(node: ast.AST, inside: Iterable[ast.AST]) -> set[str]:
    """The names that belong to a scope: its parameters and what is bound in it."""
    names = _bound_in(inside)
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        taken = node.args
        stars = [part for part in (taken.vararg, taken.kwarg) if part]
        names |= {part.arg for part in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *stars)}
    return names


def _bound_in(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that get a value in some nodes, scopes inside them left out."""
    found, todo = set(), [*nodes]
    while todo:
        node = todo.pop()
        if (name := _bound(node)) is not None:
            found.add(name)
        if not _inside(node):
            todo.extend(ast.iter_child_nodes(node))
    return found


def _bound(node: ast.AST) -> str | None:
    """The name that a node gives a value to: a variable, a parameter or a function."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, ast.FunctionDef) else None


def _problem(node: ast.AST, scope: _Scope, reserved: frozenset[str]) -> str | None:
    if not isinstance(node, _NODES):
        return f"{type(node).__name__} is not allowed"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return "decorators are not allowed"
    for name in (getattr(node, "id", None), getattr(node, "arg", None), getattr(node, "name", None)):
        if isinstance(name, str) and name.startswith("_") and name != "_":  # `_` alone is a variable nobody reads
            return f"the name {name} starts with an underscore"
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and not scope.knows(node.id):
        return f"{node.id} is not a tool, a builtin or a variable"
    if _bound(node) in reserved:
        return f"{_bound(node)} is a tool and may not be assigned"
    if isinstance(node, ast.Attribute):
        if not isinstance(node.ctx, ast.Load):
            return "attributes may not be assigned"
        if node.attr not in _METHODS and node.attr not in FIELDS:
            return f"the attribute .{node.attr} is not allowed"
    return None
