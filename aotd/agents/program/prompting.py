"""What a code LLM is asked for a program, and how its reply is read: first, and again after a mistake.

The prompt holds what never changes first, so that a server that keeps prefixes reads it once. Both
`decompose` (a reply that is no program) and `execute` (a program that failed) send a program back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotd.agents.program.examples import ExampleProgram
from aotd.decompose import DecomposeConfig
from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.prompts import one_line, render
from aotd.records import Question
from aotd.sandbox.check import InvalidProgramError, check, extract
from aotd.tools.video import api_text, signatures

PROMPTS = ("write_program", "repair_program")


def prompt(question: Question, shown: Sequence[ExampleProgram], without: Sequence[str] = ()) -> str:
    """What the model is asked for a question, after some examples. The true answer is not in it.

    Args:
        without: tools that it is not shown.
    """
    return render(
        "write_program",
        tools=api_text(without),
        examples="\n\n".join(_shown(example) for example in shown),
        question=_asked(question.question, question.options),
    )


def examples_for(
    question: Question, programs: Sequence[ExampleProgram], settings: DecomposeConfig
) -> list[ExampleProgram]:
    """The examples that a question's prompt shows: those that the settings name, or the nearest, which stands last.

    Raises:
        UserError: an example or a tool that the settings name is not there.
    """
    for name in settings.without:
        if name not in signatures():
            raise UserError(f"decompose.without: there is no tool {name!r}; one of {', '.join(signatures())}")
    if not settings.shown:
        return nearest(question, programs, settings.examples)[::-1]
    by_name = {program.name: program for program in programs}
    for name in settings.shown:
        if name not in by_name:
            raise UserError(
                f"decompose.shown: there is no example program {name!r}; one of {', '.join(sorted(by_name))}"
            )
    return [by_name[name] for name in settings.shown]


def nearest(question: Question, programs: Sequence[ExampleProgram], count: int) -> list[ExampleProgram]:
    """The example programs most like a question, the nearest first.

    Those for its own type come before those for its family, then what has a type of that name in another
    benchmark, then the rest; within a rank, the more words the two questions share, the nearer.
    """
    words = _words(question.question)

    def distance(program: ExampleProgram) -> tuple[int, float, str]:
        theirs = _words(program.question)
        return _rank(question, program), -len(words & theirs) / max(len(words | theirs), 1), program.name

    return sorted(programs, key=distance)[:count]


def mend_prompt(task: str, program: str, error: str) -> str:
    """The prompt `task` again, with the program that came of it and what was wrong with it."""
    return render("repair_program", task=task, program=program.strip("\n").replace("```", "'''"), error=error)


def read_program(reply: Reply, settings: DecomposeConfig) -> tuple[str, str | None]:
    """(the program in a reply, why it cannot be used or None). A reply that was cut off holds none."""
    code = extract(reply.text)
    if not reply.finished:
        return code, f"the reply was not finished (limit: {settings.max_tokens} tokens)"
    try:
        check(code, settings.without)
    except InvalidProgramError as error:
        return code, str(error)
    return code, None


def _shown(example: ExampleProgram) -> str:
    return f"EXAMPLE\n{_asked(example.question, example.options)}\n```python\n{example.code.strip()}\n```"


def _asked(question: str, options: Sequence[str]) -> str:
    choices = " | ".join(one_line(option) for option in options) or "none: the answer is free words"
    return f"question: {one_line(question)}\npossible answers: {choices}"


def _rank(question: Question, program: ExampleProgram) -> int:
    """0 for the question's own type, 1 for its family, 2 and 3 for those names in another benchmark, 4 for the rest."""
    own = (question.dataset, question.type)
    theirs = {tuple(kind.split("/", 1)) for kind in (*program.like, *program.serves) if "/" in kind}
    families = {(dataset, _family(kind)) for dataset, kind in theirs}
    ranks = [
        own in theirs,
        (own[0], _family(own[1])) in families,
        own[1] in {kind for _, kind in theirs},
        _family(own[1]) in {family for _, family in families},
        True,
    ]
    return ranks.index(True)


def _family(kind: str) -> str:
    return kind.split("_")[0]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w/]+", text.casefold()))
