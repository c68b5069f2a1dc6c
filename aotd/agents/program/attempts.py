"""Whether a program's result settles its question, or the next candidate is run, or the program goes back.

The true answer decides whether a candidate is taken: this is rejection sampling, and the label is known when chains of
thought are made. The model never learns it: a program that ran to a wrong answer is not sent back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aotd.agents.base import Task, Turn
from aotd.records import Dropped, Outcome, Program, Question, Trace
from aotd.scoring.answers import same_answer

REPAIRABLE = {
    Outcome.program_invalid,
    Outcome.nothing_said,
    Outcome.program_error,
    Outcome.program_timeout,
    Outcome.program_memory,
    Outcome.program_limit,
    Outcome.no_answer,
}
"""Ends that are the program's doing. A crashed specialist and a broken video are not."""


@dataclass(frozen=True)
class Attempt(Task):
    """One program of a question, about to be run."""

    program: Program
    code: str
    others: tuple[str, ...] = ()
    """Candidates that have not been run yet."""
    tries: int = 1
    """How many programs of the question were run, this one included."""
    repaired: int = 0
    """How often a program of the question was sent back."""
    best: Trace | Dropped | None = None
    """What the question ends in if nothing better comes: the first run to an answer, else the last failure."""


def first(question: Question, program: Program) -> Attempt:
    """The first program of a question."""
    return Attempt(question, program, program.code, program.others)


def settled(turn: Turn[Attempt], repairs: int) -> Trace | Dropped | None:
    """What the question ends in; None where another candidate is to be run, or, behind the last, this one goes back.

    Args:
        repairs: how often a program may be sent back.
    """
    attempt, record = turn.task, turn.record
    if isinstance(record, Trace) and _right(attempt.question, record):
        return record
    if isinstance(record, Dropped) and record.outcome not in REPAIRABLE:
        return attempt.best if isinstance(attempt.best, Trace) else record
    ended = _better(attempt.best, record)
    if attempt.others or (attempt.repaired < repairs and isinstance(ended, Dropped)):
        return None  # a program that failed goes back, unless one of the question has run to an answer already
    if isinstance(ended, Dropped) and attempt.tries > 1:
        return ended.model_copy(update={"reason": f"after {attempt.tries} programs: {ended.reason}"})
    return ended


def candidate(turn: Turn[Attempt]) -> Attempt:
    """The next candidate of a question that is not settled; there must be one."""
    code, *others = turn.task.others
    return another(turn, code, tuple(others))


def another(turn: Turn[Attempt], code: str, others: tuple[str, ...] = ()) -> Attempt:
    """Another program of a question, after what came of one."""
    attempt = turn.task
    best = _better(attempt.best, turn.record)
    return replace(attempt, code=code, others=others, tries=attempt.tries + 1, best=best, costs=turn.costs)


def _right(question: Question, trace: Trace) -> bool:
    """Without a true answer, any answer will do."""
    return question.answer is None or same_answer(trace.answer, question.answer, question.options)


def _better(before: Trace | Dropped | None, now: Trace | Dropped) -> Trace | Dropped:
    return before if isinstance(before, Trace) else now
