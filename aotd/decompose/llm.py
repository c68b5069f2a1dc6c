"""Author `llm`: a code LLM that is shown the tools, a few rules, and the example programs nearest to its question.

The prompt holds what never changes first, so that a server that keeps prefixes reads it once. A reply
that is no valid program goes back to the model with the error, a set number of times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotd.decompose import DecomposeConfig
from aotd.example_programs import ExampleProgram
from aotd.llm import Engine, Reply
from aotd.prompts import one_line, render
from aotd.records import Dropped, Outcome, Program, Question
from aotd.sandbox.check import InvalidProgramError, check, extract
from aotd.sandbox.tools import api_text

PROMPTS = ("write_program", "repair_program")


def prompt(question: Question, programs: Sequence[ExampleProgram], examples: int) -> str:
    """What the model is asked for a question; the nearest example stands last. The true answer is not in it."""
    shown = [_shown(example) for example in reversed(nearest(question, programs, examples))]
    return render(
        "write_program",
        tools=api_text(),
        examples="\n\n".join(shown),
        question=_asked(question.question, question.options),
    )


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


def write(
    engine: Engine, questions: Sequence[Question], programs: Sequence[ExampleProgram], settings: DecomposeConfig
) -> list[Program | Dropped]:
    """A program for each question, in order; equal prompts are asked once.

    Raises:
        UserError: the model cannot be reached.
    """
    asked = [prompt(question, programs, settings.examples) for question in questions]
    done: dict[str, tuple[str, int]] = {}
    errors: dict[str, str] = {}
    # Sorted, prompts that begin alike follow each other: a server with one slot reads what they share once.
    todo = {task: task for task in sorted(set(asked))}
    for attempt in range(1, settings.retries + 2):
        replies = engine.complete(list(todo.values()), max_tokens=settings.max_tokens) if todo else []
        again = {}
        for task, reply in zip(todo, replies, strict=True):
            code = extract(reply.text)
            problem = _problem(reply, code, settings.max_tokens)
            if problem is None:
                done[task] = code, attempt
            else:
                errors[task] = problem
                again[task] = render("repair_program", task=task, program=code.strip("\n"), error=problem)
        todo = again
    written: list[Program | Dropped] = []
    for question, task in zip(questions, asked, strict=True):
        key = question.question_id
        if task in done:
            code, attempts = done[task]
            written.append(Program(question_id=key, code=code, author="llm", attempts=attempts))
        else:
            reason = f"after {settings.retries + 1} tries: {errors[task]}"
            written.append(Dropped(question_id=key, outcome=Outcome.program_invalid, reason=reason))
    return written


def _problem(reply: Reply, code: str, max_tokens: int) -> str | None:
    if not reply.finished:
        return f"the reply was not finished (limit: {max_tokens} tokens)"
    try:
        check(code)
    except InvalidProgramError as error:
        return str(error)
    return None


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
