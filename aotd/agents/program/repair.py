"""Repair: a program that failed goes back to the code LLM, with the error and what its tools had found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aotd.agents.base import Turn
from aotd.agents.program.attempts import Attempt, another
from aotd.agents.program.prompting import repair_prompt
from aotd.llm.base import Engine, Reply
from aotd.records import Dropped, Outcome, Question
from aotd.runtime.meter import Meter, once
from aotd.view.finding_text import numbered

BOXES = 2
"""Boxes of one finding that the model is shown when a program is sent back."""


@dataclass(frozen=True)
class Repairer:
    """The code LLM to which failed programs go back."""

    engine: Engine
    prompt: Callable[[Question], str]
    """What it was, or would have been, asked for a question's program (`aotd.agents.program.prompting`)."""
    read: Callable[[Reply], tuple[str, str | None]]
    """The program in a reply, and why it cannot be used or None."""
    max_tokens: int
    repairs: int


def repaired(turns: Sequence[Turn[Attempt]], repairer: Repairer) -> tuple[list[Attempt], list[Turn[Attempt]]]:
    """The next attempts of questions whose programs go back, and turns of those whose new program is none again.

    Raises:
        UserError: the model cannot be reached.
    """
    attempts, unusable = [], []
    prompts = [_prompt(turn, repairer) for turn in turns]
    with Meter() as meter:
        replies = repairer.engine.generate(prompts, max_tokens=repairer.max_tokens)
    for turn, reply, paid in zip(turns, replies, once(prompts, replies), strict=True):
        code, problem = repairer.read(reply)
        cost = meter.cost(turn.task.question.question_id, batch=len(turns), replies=paid)
        attempt = replace(another(turn, code), repaired=turn.task.repaired + 1, costs=(*turn.costs, cost))
        if problem is None:
            attempts.append(attempt)
        else:
            key = attempt.question.question_id
            outcome = Outcome.program_invalid
            if reply.silent or reply.failed:
                outcome = Outcome.model_refused if reply.failed else Outcome.nothing_said
            dropped = Dropped(question_id=key, outcome=outcome, reason=f"when mended: {problem}")
            unusable.append(Turn(attempt, dropped, (), attempt.costs))
    return attempts, unusable


def _prompt(turn: Turn[Attempt], repairer: Repairer) -> str:
    attempt, record = turn.task, turn.record
    assert isinstance(record, Dropped)
    error = f"{record.outcome.value}: {record.reason}"
    if turn.events:
        error += f"\nBefore that, its tools had found:\n{numbered(turn.events, BOXES)}"
    return repair_prompt(repairer.prompt(attempt.question), attempt.code, error)
