"""Which program of a question is run next: another candidate, or one that the code LLM has mended.

The true answer decides whether a candidate is taken (rejection sampling: the label is known when chains of
thought are made). It is never told to the model: a program that ran to a wrong answer is not sent back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aotd.answers import same_answer
from aotd.authoring import mend_prompt
from aotd.findings import numbered
from aotd.llm import Engine, Reply
from aotd.meter import Meter, once
from aotd.records import Cost, Dropped, Event, Outcome, Program, Question, Trace

MENDABLE = {
    Outcome.program_invalid,
    Outcome.program_error,
    Outcome.program_timeout,
    Outcome.program_memory,
    Outcome.program_limit,
    Outcome.no_answer,
}
"""Ends that are the program's doing. A crashed specialist and a broken video are not."""

BOXES = 2
"""Boxes of one finding that the model is shown when a program is sent back."""


@dataclass(frozen=True)
class Attempt:
    """One program of a question, about to be run."""

    question: Question
    program: Program
    code: str
    others: tuple[str, ...] = ()
    """Candidates that have not been run yet."""
    tries: int = 1
    """How many programs of the question were run, this one included."""
    mended: int = 0
    """How often a program of the question was sent back."""
    best: Trace | Dropped | None = None
    """What the question ends in if nothing better comes: the first run to an answer, else the last failure."""
    costs: tuple[Cost, ...] = ()
    """What its programs have taken before this one, the mending included."""


@dataclass(frozen=True)
class Result:
    """What came of an attempt."""

    attempt: Attempt
    record: Trace | Dropped
    events: tuple[Event, ...]
    """What the tools found, also where the program failed."""
    costs: tuple[Cost, ...] = ()
    """What its programs have taken, this one included."""


@dataclass(frozen=True)
class Mender:
    """The code LLM to which failed programs go back."""

    engine: Engine
    prompt: Callable[[Question], str]
    """What it was, or would have been, asked for a question's program (`aotd.authoring`)."""
    read: Callable[[Reply], tuple[str, str | None]]
    """The program in a reply, and why it cannot be used or None."""
    max_tokens: int
    repairs: int


def first(question: Question, program: Program) -> Attempt:
    """The first program of a question."""
    return Attempt(question, program, program.code, program.others)


def settled(result: Result, mender: Mender | None) -> Trace | Dropped | None:
    """What the question ends in; None where another program is to be run."""
    attempt, record = result.attempt, result.record
    if isinstance(record, Trace) and _right(attempt.question, record):
        return record
    if isinstance(record, Dropped) and record.outcome not in MENDABLE:
        return attempt.best if isinstance(attempt.best, Trace) else record
    if attempt.others or _goes_back(result, mender):
        return None
    ended = _better(attempt.best, record)
    if isinstance(ended, Dropped) and attempt.tries > 1:
        return ended.model_copy(update={"reason": f"after {attempt.tries} programs: {ended.reason}"})
    return ended


def following(results: Sequence[Result], mender: Mender | None) -> tuple[list[Attempt], list[Result]]:
    """The next attempts of questions that are not settled, and those whose mended program is none again.

    Raises:
        UserError: the model cannot be reached.
    """
    attempts, back = [], []
    for result in results:
        if result.attempt.others:
            code, *others = result.attempt.others
            attempts.append(_next(result, code, tuple(others)))
        else:
            back.append(result)
    if not back:
        return attempts, []
    assert mender is not None
    prompts = [_sent_back(r, mender) for r in back]
    with Meter() as meter:
        replies = mender.engine.complete(prompts, max_tokens=mender.max_tokens)
    unusable = []
    for result, reply, paid in zip(back, replies, once(prompts, replies), strict=True):
        code, problem = mender.read(reply)
        cost = meter.cost(result.attempt.question.question_id, batch=len(back), replies=paid)
        attempt = replace(_next(result, code, ()), mended=result.attempt.mended + 1, costs=(*result.costs, cost))
        if problem is None:
            attempts.append(attempt)
        else:
            key = attempt.question.question_id
            dropped = Dropped(question_id=key, outcome=Outcome.program_invalid, reason=f"when mended: {problem}")
            unusable.append(Result(attempt, dropped, (), attempt.costs))
    return attempts, unusable


def _goes_back(result: Result, mender: Mender | None) -> bool:
    """A program that failed goes back, unless one of the question has run to an answer already."""
    return (
        mender is not None
        and result.attempt.mended < mender.repairs
        and isinstance(_better(result.attempt.best, result.record), Dropped)
    )


def _next(result: Result, code: str, others: tuple[str, ...]) -> Attempt:
    attempt = result.attempt
    best = _better(attempt.best, result.record)
    return replace(attempt, code=code, others=others, tries=attempt.tries + 1, best=best, costs=result.costs)


def _sent_back(result: Result, mender: Mender) -> str:
    attempt, record = result.attempt, result.record
    assert isinstance(record, Dropped)
    error = f"{record.outcome.value}: {record.reason}"
    if result.events:
        error += f"\nBefore that, its tools had found:\n{numbered(result.events, BOXES)}"
    return mend_prompt(mender.prompt(attempt.question), attempt.code, error)


def _right(question: Question, trace: Trace) -> bool:
    """Without a true answer, any answer will do."""
    return question.answer is None or same_answer(trace.answer, question.answer, question.options)


def _better(before: Trace | Dropped | None, now: Trace | Dropped) -> Trace | Dropped:
    return before if isinstance(before, Trace) else now
