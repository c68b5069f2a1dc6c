"""A program that failed goes back to the code LLM, with the error and what its tools had found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aotd.agents.program.attempts import Attempt, Result, another
from aotd.agents.program.prompting import mend_prompt
from aotd.llm.base import Engine, Reply
from aotd.records import Dropped, Outcome, Question
from aotd.runtime.meter import Meter, once
from aotd.view.finding_text import numbered

BOXES = 2
"""Boxes of one finding that the model is shown when a program is sent back."""


@dataclass(frozen=True)
class Mender:
    """The code LLM to which failed programs go back."""

    engine: Engine
    prompt: Callable[[Question], str]
    """What it was, or would have been, asked for a question's program (`aotd.agents.program.prompting`)."""
    read: Callable[[Reply], tuple[str, str | None]]
    """The program in a reply, and why it cannot be used or None."""
    max_tokens: int
    repairs: int


def mended(results: Sequence[Result], mender: Mender) -> tuple[list[Attempt], list[Result]]:
    """The next attempts of some questions whose programs go back, and those whose mended program is none again.

    Raises:
        UserError: the model cannot be reached.
    """
    attempts, unusable = [], []
    prompts = [_sent_back(result, mender) for result in results]
    with Meter() as meter:
        replies = mender.engine.generate(prompts, max_tokens=mender.max_tokens)
    for result, reply, paid in zip(results, replies, once(prompts, replies), strict=True):
        code, problem = mender.read(reply)
        cost = meter.cost(result.attempt.question.question_id, batch=len(results), replies=paid)
        attempt = replace(another(result, code), mended=result.attempt.mended + 1, costs=(*result.costs, cost))
        if problem is None:
            attempts.append(attempt)
        else:
            key = attempt.question.question_id
            dropped = Dropped(question_id=key, outcome=Outcome.program_invalid, reason=f"when mended: {problem}")
            unusable.append(Result(attempt, dropped, (), attempt.costs))
    return attempts, unusable


def _sent_back(result: Result, mender: Mender) -> str:
    attempt, record = result.attempt, result.record
    assert isinstance(record, Dropped)
    error = f"{record.outcome.value}: {record.reason}"
    if result.events:
        error += f"\nBefore that, its tools had found:\n{numbered(result.events, BOXES)}"
    return mend_prompt(mender.prompt(attempt.question), attempt.code, error)
