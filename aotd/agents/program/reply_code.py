"""Find the program in a model's reply: its functions, whatever stands around them.

Models write programs in fences of all kinds, in lists and quotes, between tags, in JSON, behind prompts of a console,
or with nothing around them but prose. So fences and tags are not paired: they are edges, and what stands between two
edges is a stretch. A stretch that is Python as a whole is taken as it stands. In any other, each `def` is looked for,
with the shortest piece from there on that is Python.

The reply is then read as Python would read a script: the last definition of a name counts. So a corrected program
wins over a withdrawn one, and a helper function in a block of its own is found. Nothing here decides whether a program
may run: that is the sandbox's check.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from aotd.sandbox.check import ENTRY, InvalidProgramError, syntax_tree
from aotd.scoring.normalise import until_end

_FENCE = re.compile(r"`{3,}([^`\n]*)|^[ \t>]*(?:[-*+][ \t]+|\d+[.)][ \t]+)?~{3,}([^\n]*)", re.MULTILINE)
_TAG = re.compile(
    r"</?(?:code|pre|python|program|answer|solution|tool_code|tool_call|execute|response|s|bos|eos|end_of_turn|end_code)\b[^<>\n]*>"
    r"|<\|[^|<>\n]{1,40}\|>",
    re.IGNORECASE,
)
_BROKEN_END = re.compile(r"<[/|｜][\w|｜]*\Z")
"""A stop sequence of which the last characters are missing, as servers leave it: `</code`."""
_DEFINES = re.compile(rf"^[^\w\n]{{0,20}}(?:\d+[^\w\n]{{1,4}})?(?:async\s+)?def\s+{ENTRY}\b", re.MULTILINE)
_STATEMENT = r"(?=(?:def|import|from|async|@)\b|@)"
_PROMPTED = re.compile(rf"^[ \t]*>>>[ \t]?{_STATEMENT}", re.MULTILINE), re.compile(r"^[ \t]*(?:>>>|\.\.\.)[ \t]?", re.M)
_QUOTED = re.compile(rf"^[ \t]*(?:>[ \t]?)+{_STATEMENT}", re.MULTILINE), re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_NUMBERED = (
    re.compile(rf"^[ \t]*1[ \t]*[|:.)]?[ \t]{_STATEMENT}.*\n[ \t]*2\b", re.MULTILINE),
    re.compile(r"^[ \t]*\d+(?:[ \t]*[|:.)])?[ \t]?", re.MULTILINE),
)
_LISTED = re.compile(r"^([ \t]*(?:[-*+•]|\d+[.)])[ \t]+)(?=(?:async[ \t]+)?def\b)", re.MULTILINE)
_DEF = re.compile(r"([ \t]*)(?:async[ \t]+)?def[ \t]+\w")
_ANEW = re.compile(r"[ \t]*(?:(?:async|def|class|import|from)[ \t]|@)")
"""What cannot stand inside a function at its own indentation."""
_RETURNS = re.compile(r"^[ \t]*[-+]?[ \t]*return\b", re.MULTILINE)
_ABRIDGED = re.compile(r"\([ \t]*\.\.\.|(?:^|:)[ \t]*\.\.\.[ \t]*$", re.MULTILINE)
_PIECES = 12
"""Ends that are tried for one function: a hostile reply must not take long."""
_SPACES = {
    ord(c): " " for c in "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
}
_UNSEEN: dict[int, str | None] = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_TYPED = {
    ord(c): ascii for c, ascii in zip("‘’“”（）：，［］｛｝＝＋－＊／＜＞．", "''\"\"():,[]{}=+-*/<>.", strict=True)
}


@dataclass(frozen=True)
class _Function:
    name: str
    code: str
    needs: frozenset[str]
    """The names that it reads, of which some may be other functions."""
    abridged: bool
    """Whether `...` stands for a part of it, as in text that tells of another one."""


@dataclass(frozen=True)
class _Block:
    """What stands between two edges of the reply."""

    text: str
    functions: tuple[_Function, ...] = ()
    alone: bool = False
    """Whether the text is these functions, comments, and nothing else."""

    @property
    def entries(self) -> list[_Function]:
        return [function for function in self.functions if function.name == ENTRY]

    @property
    def broken(self) -> bool:
        """Whether it was to be a program and is no Python; an abridged one only tells of another."""
        begun = None if self.entries else _DEFINES.search(self.text)
        return begun is not None and bool(_RETURNS.search(self.text, begun.end())) and not _ABRIDGED.search(self.text)


def extract(reply: str, tools: Collection[str] = ()) -> str:
    """The program in a reply: its functions.

    What else stands at the top is left out: models begin with imports that they do not use, and end with an example
    of use. A function that does need it is refused for a name that it does not know.

    Args:
        tools: names that need no function in the reply.

    Returns:
        The text to be checked; where the reply holds no program, that from which the check can tell why.
    """
    blocks = _blocks(reply)
    at = _last_program(blocks)
    if at is None:
        return _unread(blocks, reply)
    own = blocks[at]
    functions = _script(blocks, at, tools)
    if own.alone and functions == own.functions:
        return own.text
    return "\n\n\n".join(function.code.strip("\n") for function in functions) + "\n"


def written(reply: str) -> str:
    """What a model wrote around its program and in it: the block that `extract` takes the program from."""
    blocks = _blocks(reply)
    at = _last_program(blocks)
    return _unread(blocks, reply) if at is None else blocks[at].text


def _blocks(reply: str) -> list[_Block]:
    text = _BROKEN_END.sub("", re.sub(r"\r\n?", "\n", reply))
    for part in (until_end(text), text):  # behind the end, another question's program may stand
        blocks = [block for stretch in _stretches(part) for block in _read(stretch)]
        if any(block.entries for block in blocks):
            return blocks
    return [*blocks, *(block for inner in _packed(text) for block in _blocks(inner))]


def _last_program(blocks: Sequence[_Block]) -> int | None:
    """Where the last program stands; None where there is none, or where a correction behind it is broken."""
    programs = [at for at, block in enumerate(blocks) if block.entries]
    full = [at for at in programs if not all(entry.abridged for entry in blocks[at].entries)]
    if not programs:
        return None
    last = (full or programs)[-1]
    return None if any(block.broken for block in blocks[last + 1 :]) else last


def _script(blocks: Sequence[_Block], at: int, tools: Collection[str]) -> tuple[_Function, ...]:
    """The functions of a block, and those of other blocks that they need, in the order of the reply."""
    every = [function for block in blocks for function in block.functions]
    defined = {f.name: f for f in sorted(every, key=lambda f: not f.abridged)}  # a sorted list keeps its order else
    wanted, taken = [function.name for function in blocks[at].functions], set[str]()
    while wanted:
        name = wanted.pop()
        if name in defined and name not in taken:
            taken.add(name)
            wanted += defined[name].needs - frozenset(tools)
    return tuple(f for f in every if f.name in taken and f is defined[f.name])


def _unread(blocks: Sequence[_Block], reply: str) -> str:
    """The text of which the check says best why the reply holds no program."""
    for found in ([block for block in blocks if block.broken], [block for block in blocks if block.functions]):
        if found:
            return found[-1].text
    begun = [block for block in blocks if _DEFINES.search(block.text)]
    return begun[-1].text if begun else reply.strip("\n") + "\n"


def _stretches(text: str) -> Iterator[str]:
    """What stands between the fences of a text; a program that begins on the line of a fence belongs to it."""
    start = 0
    for fence in _FENCE.finditer(text):
        yield text[start : fence.start()]
        info = fence[1] if fence[1] is not None else fence[2]
        begun = re.search(r"\bdef\s", info)
        start = fence.end() - len(info) + begun.start() if begun else fence.end()
    yield text[start:]


def _read(stretch: str) -> list[_Block]:
    """The blocks in a stretch: the whole of it, or the pieces of it that are Python."""
    stretch = _unprompted(stretch)
    if not stretch.strip():
        return []
    parsed = _python(stretch) or _python(textwrap.dedent(stretch))
    if parsed is not None and not all(map(_is_text, parsed[1].body)):
        code, tree = parsed
        block = _Block(code.strip("\n") + "\n", _functions(code, tree), _nothing_else(tree))
        # What returns at the top is a body that lost its indentation: the check is to see it.
        misplaced = any(isinstance(statement, ast.Return) for statement in tree.body)
        return [_Block(block.text) if misplaced else block]
    pieces = [function for part in _TAG.split(stretch) for function in _pieces(part.split("\n"))]
    if any(function.name == ENTRY for function in pieces):
        return [_Block(stretch.strip("\n") + "\n", tuple(pieces))]
    started = _DEFINES.search(stretch)
    text = stretch[started.start() :] if started else stretch
    return [_Block(text.strip("\n") + "\n", tuple(pieces))]


def _unprompted(stretch: str) -> str:
    """A stretch without the signs of a console, of a quote or of line numbers before each line."""
    for begun, sign in (_PROMPTED, _QUOTED, _NUMBERED):
        if begun.search(stretch):
            stretch = sign.sub("", stretch)
    return _LISTED.sub(lambda item: " " * len(item[1]), stretch)


def _pieces(lines: Sequence[str]) -> Iterator[_Function]:
    """The functions in lines of which others are no Python, each as short as it can be."""
    at = 0
    while at < len(lines):
        begun = _DEF.match(lines[at])
        piece = _piece(lines, at, len(begun[1])) if begun else None
        if piece is None:
            at += 1
        else:
            at, functions = piece
            yield from functions


def _piece(lines: Sequence[str], start: int, indent: int) -> tuple[int, tuple[_Function, ...]] | None:
    """Where the function that begins at a line ends, and itself."""
    first = start
    while first and lines[first - 1].startswith(" " * indent + "@"):
        first -= 1
    for tried, end in enumerate(_ends(lines, start, indent)):
        parsed = _python(textwrap.dedent("\n".join(lines[first:end]))) if tried < _PIECES else None
        if parsed is not None and (functions := _functions(*parsed)):
            return end, functions
        if tried == _PIECES or (end < len(lines) and _ANEW.match(lines[end])):
            break
    return None


def _ends(lines: Sequence[str], start: int, indent: int) -> Iterator[int]:
    """The lines before which a function may end: those that are no deeper than its first one."""
    for at in range(start + 1, len(lines)):
        if lines[at].strip() and not lines[at][: indent + 1].isspace():
            yield at
    yield len(lines)


def _python(code: str) -> tuple[str, ast.Module] | None:
    """A text as Python: as it stands, or with the spaces, quotes, brackets and tabs of a word processor set right."""
    tidy = code.translate(_UNSEEN).translate(_SPACES)
    for text in dict.fromkeys((code, tidy, tidy.expandtabs(4), tidy.expandtabs(8), tidy.translate(_TYPED))):
        try:
            return text, syntax_tree(text)
        except InvalidProgramError:
            continue
    return None


def _functions(code: str, tree: ast.Module) -> tuple[_Function, ...]:
    lines = code.split("\n")
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            read = (name.id for name in ast.walk(node) if isinstance(name, ast.Name))
            text = "\n".join(lines[start - 1 : node.end_lineno])
            found.append(_Function(node.name, text, frozenset(read), any(map(_is_dots, ast.walk(node)))))
    return tuple(found)


def _is_dots(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a string, as a program between three quotes is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _nothing_else(tree: ast.Module) -> bool:
    return all(isinstance(statement, ast.FunctionDef) for statement in tree.body)


def _packed(text: str) -> list[str]:
    """The programs that a text holds as strings of JSON, or with its line breaks written as `\\n`."""
    found: list[str] = []
    for start in [at for at in (text.find("{"), text.find("["), text.find('"')) if at >= 0]:
        try:
            value, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        found += [inner for inner in _strings(value) if ENTRY in inner]
    if not found and "\\n" in text:
        found = [re.sub(r"\\([nt\"'\\])", lambda sign: {"n": "\n", "t": "\t"}.get(sign[1], sign[1]), text)]
    return [inner for inner in found if inner != text]


def _strings(value: object) -> list[str]:
    """The strings in a value of JSON."""
    found, todo = [], [value]
    while todo:
        inner = todo.pop(0)
        if isinstance(inner, str):
            found.append(inner)
        elif isinstance(inner, dict):
            todo += inner.values()
        elif isinstance(inner, list):
            todo += inner
    return found
