"""Example programs: the files of `programs/`, in the format of `programs/README.md`.

The author `llm` puts some of them into its prompt; the author `fixed` takes one of them as it is. Reading a file does
not run it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aotd.errors import UserError
from aotd.records import Question
from aotd.sandbox.check import InvalidProgramError, check
from aotd.store.shipped import shipped
from aotd.tools.toolbox import Toolbox
from aotd.tools.video import VIDEO_TOOLS

_KEYS = ("question", "options", "like", "serves")


@dataclass(frozen=True)
class ExampleProgram:
    """One file of `programs/`."""

    name: str
    """File name without `.py`."""
    question: str
    """The question it was written for."""
    options: tuple[str, ...]
    """Options of that question; empty where it is open-ended."""
    like: tuple[str, ...]
    """`dataset/type` it is an example of."""
    serves: tuple[str, ...]
    """`dataset/type` that the author `fixed` answers with it; `*` may stand for the type or for all."""
    code: str
    """The function, without the comments before it."""


def read_programs(folder: str = "", toolbox: Toolbox = VIDEO_TOOLS) -> list[ExampleProgram]:
    """The example programs of a folder, in the order of their file names.

    Args:
        folder: empty for the folder that ships with the package.
        toolbox: the tools that they may use.

    Raises:
        UserError: no such folder, no program in it, a file that is not in the format or fails the
            sandbox's check, or two files that serve one type.
    """
    root = Path(folder) if folder else shipped("programs")
    paths = sorted(root.glob("*.py"))
    if not paths:
        raise UserError(
            f"decompose.programs: {root} holds no example program (*.py); leave it empty for the shipped ones"
        )
    programs = [_read(path, toolbox) for path in paths]
    served: dict[str, str] = {}
    for program in programs:
        for kind in program.serves:
            if kind in served:
                raise UserError(f"{root}: {served[kind]}.py and {program.name}.py both serve {kind}; keep one")
            served[kind] = program.name
    return programs


def programs_digest(programs: Sequence[ExampleProgram]) -> str:
    """Hash of everything the programs hold, for manifests."""
    return hashlib.sha256(repr(list(programs)).encode()).hexdigest()[:16]


def kinds_of(question: Question) -> tuple[str, ...]:
    """The names of a question's type, most exact first: `star/Interaction_T1`, `star/Interaction`, `star/*`, `*`."""
    exact = f"{question.dataset}/{question.type}"
    family = f"{question.dataset}/{question.type.split('_')[0]}"
    return tuple(dict.fromkeys((exact, family, f"{question.dataset}/*", "*")))


def _read(path: Path, toolbox: Toolbox) -> ExampleProgram:
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith("def ")), None)
    if start is None:
        raise UserError(f"{path}: no `def` at the start of a line; programs/README.md shows the format")
    head: dict[str, str] = {}
    for line in lines[:start]:
        key, colon, value = line.lstrip("# ").partition(":")
        if colon and key in _KEYS and line.startswith("#"):
            head[key] = value.strip()
    if not head.get("question") or not (head.get("like") or head.get("serves")):
        raise UserError(f"{path}: needs the lines `# question: …` and `# like: …` or `# serves: …`")
    code = "\n".join(lines[start:]).strip("\n") + "\n"
    try:
        check(code, toolbox)
    except InvalidProgramError as error:
        raise UserError(f"{path}: below the comments, {error}") from None
    return ExampleProgram(
        name=path.stem,
        question=head["question"],
        options=_split(head.get("options", ""), "|"),
        like=_split(head.get("like", ""), ","),
        serves=_split(head.get("serves", ""), ","),
        code=code,
    )


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())
