"""Author `llm`: a code LLM, whose prompt holds the tools, a few rules, and example programs.

A reply that is no valid program goes back to the model with the error, a set number of times. Several
candidates per question may be sampled; `execute` tries them in order.
"""

from __future__ import annotations

from collections.abc import Sequence

from aotd.agents.program.examples import ExampleProgram
from aotd.agents.program.prompting import examples_for, program_prompt, read_program, repair_prompt
from aotd.decompose import DecomposeConfig
from aotd.errors import QuestionError
from aotd.llm.base import Engine, Reply
from aotd.records import Dropped, Outcome, Program, Question
from aotd.tools.toolbox import Toolbox


def write(
    engine: Engine,
    questions: Sequence[Question],
    programs: Sequence[ExampleProgram],
    settings: DecomposeConfig,
    toolbox: Toolbox,
) -> list[tuple[Program | Dropped, list[Reply]]]:
    """A program for each question, in order, and the replies that it took; equal prompts are asked once.

    The first of several questions with one prompt has the replies, the others have none.

    Args:
        toolbox: the tools that programs may use.

    Raises:
        UserError: the model cannot be reached.
    """
    prompts = [program_prompt(question, examples_for(question, programs, settings), toolbox) for question in questions]
    # Sorted, prompts that begin alike follow each other: a server with one slot reads what they share once.
    tasks = sorted(set(prompts))
    replies: dict[str, list[Reply]] = {task: [] for task in tasks}
    done, errors = _greedy(engine, tasks, settings, toolbox, replies)
    refused = {task for task, error in errors.items() if error.outcome is Outcome.model_refused}
    others = _sampled(engine, [task for task in tasks if task not in refused], settings, toolbox, replies)
    tries = {task: len(received) for task, received in replies.items()}
    written: list[tuple[Program | Dropped, list[Reply]]] = []
    for question, task in zip(questions, prompts, strict=True):
        key = question.question_id
        first, attempts = done.get(task, (None, settings.retries + 2))
        codes = list(dict.fromkeys([*([first] if first else []), *others.get(task, [])]))
        if codes:
            more = tuple(codes[1:])
            record: Program | Dropped = Program(
                question_id=key, code=codes[0], author="llm", attempts=attempts, others=more
            )
        else:
            error = errors[task]
            reason = error.reason if task in refused else f"after {tries[task]} tries: {error.reason}"
            record = Dropped(question_id=key, outcome=error.outcome, reason=reason)
        written.append((record, replies.pop(task, [])))
    return written


def _greedy(
    engine: Engine, tasks: Sequence[str], settings: DecomposeConfig, toolbox: Toolbox, received: dict[str, list[Reply]]
) -> tuple[dict[str, tuple[str, int]], dict[str, QuestionError]]:
    """Prompt -> (program, how many it took), and prompt -> the last error where none could be had.

    Replies are added to those of their prompt in `received`.
    """
    done: dict[str, tuple[str, int]] = {}
    errors: dict[str, QuestionError] = {}
    todo = {task: task for task in tasks}
    for attempt in range(1, settings.retries + 2):
        replies = engine.generate(list(todo.values()), max_tokens=settings.max_tokens) if todo else []
        again = {}
        for task, reply in zip(todo, replies, strict=True):
            received[task].append(reply)
            if reply.failed:  # to ask again would be to hear it again
                errors[task] = QuestionError(Outcome.model_refused, reply.failed)
                continue
            code, problem = read_program(reply, settings.max_tokens, toolbox)
            if problem is None:
                done[task] = code, attempt
            else:
                outcome = Outcome.nothing_said if reply.silent else Outcome.program_invalid
                errors[task] = QuestionError(outcome, problem)
                again[task] = repair_prompt(task, code, problem)
        todo = again
    return done, errors


def _sampled(
    engine: Engine, tasks: Sequence[str], settings: DecomposeConfig, toolbox: Toolbox, received: dict[str, list[Reply]]
) -> dict[str, list[str]]:
    """Prompt -> further valid programs, sampled; an invalid one is left out. `received` as in `_greedy`."""
    candidates: dict[str, list[str]] = {task: [] for task in tasks}
    prompts = [task for task in tasks for _ in range(settings.candidates - 1)]
    if prompts:
        replies = engine.generate(prompts, max_tokens=settings.max_tokens, temperature=settings.temperature)
        for task, reply in zip(prompts, replies, strict=True):
            received[task].append(reply)
            code, problem = read_program(reply, settings.max_tokens, toolbox)
            if problem is None:
                candidates[task].append(code)
    return candidates
