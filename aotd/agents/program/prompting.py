"""The prompts that ask a code LLM for a program, first and again after a mistake, and the reading of its reply.

A prompt begins with what never changes, so that a server with a prefix cache reads that once. Both `decompose` (a reply
that is no program) and `execute` (a program that failed) send a program back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from aotd.agents.program.examples import ExampleProgram
from aotd.agents.program.reply_code import extract
from aotd.errors import UserError
from aotd.llm import RoleLLMConfig
from aotd.llm.base import Reply
from aotd.prompts import one_line, render
from aotd.records import Question
from aotd.sandbox.check import InvalidProgramError, check
from aotd.tools.toolbox import Toolbox

PROMPTS = ("write_program", "repair_program")


class PromptSettings(Protocol):
    """The settings that a program's prompt depends on (`aotd.decompose.DecomposeConfig`)."""

    programs: str
    num_examples: int
    examples: list[str]
    exclude_tools: list[str]
    max_tokens: int
    llm: RoleLLMConfig


def program_prompt(question: Question, examples: Sequence[ExampleProgram], toolbox: Toolbox) -> str:
    """The prompt for a question's program, with some examples. The true answer is not in it."""
    return render(
        "write_program",
        tools=toolbox.prompt_text(),
        examples="\n\n".join(_example_text(example) for example in examples),
        question=_question_text(question.question, question.options),
    )


def allowed_tools(toolbox: Toolbox, settings: PromptSettings) -> Toolbox:
    """The tools that programs may use.

    Raises:
        UserError: `decompose.exclude_tools` names a tool that there is not.
    """
    for name in settings.exclude_tools:
        if name not in toolbox.names:
            raise UserError(f"decompose.exclude_tools: there is no tool {name!r}; one of {', '.join(toolbox.names)}")
    return toolbox.without(settings.exclude_tools)


def examples_for(
    question: Question, programs: Sequence[ExampleProgram], settings: PromptSettings
) -> list[ExampleProgram]:
    """The examples in a question's prompt: those that the settings name, or the nearest, of which the nearest is last.

    Raises:
        UserError: an example that the settings name is not there.
    """
    if not settings.examples:
        return nearest(question, programs, settings.num_examples)[::-1]
    by_name = {program.name: program for program in programs}
    for name in settings.examples:
        if name not in by_name:
            raise UserError(
                f"decompose.examples: there is no example program {name!r}; one of {', '.join(sorted(by_name))}"
            )
    return [by_name[name] for name in settings.examples]


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


def repair_prompt(task: str, program: str, error: str) -> str:
    """The prompt `task` again, with the program that came of it and what was wrong with it."""
    return render("repair_program", task=task, program=program.strip("\n").replace("```", "'''"), error=error)


def read_program(reply: Reply, max_tokens: int, toolbox: Toolbox) -> tuple[str, str | None]:
    """(the program in a reply, why it cannot be used or None). A reply that was cut off holds none.

    Args:
        max_tokens: the longest that the reply could be.
        toolbox: the tools that the program may use.
    """
    if reply.failed:
        return "", reply.failed
    if reply.silent:
        return "", reply.silence()
    if reply.finished and not reply.text.strip():
        return "", "the reply was empty"
    code = extract(reply.text, toolbox.names)
    if not reply.finished:
        return code, f"the reply was not finished (limit: {max_tokens} tokens)"
    try:
        check(code, toolbox)
    except InvalidProgramError as error:
        return code, str(error)
    return code, None


def _example_text(example: ExampleProgram) -> str:
    return f"EXAMPLE\n{_question_text(example.question, example.options)}\n```python\n{example.code.strip()}\n```"


def _question_text(question: str, options: Sequence[str]) -> str:
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
