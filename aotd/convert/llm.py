"""Writer `llm`: a language model retells the trace as a chain of thought (paper appendix D.2).

The model is shown the question, the program and a numbered record of what the tools found, and is told
the program's answer, never the true one. Nothing it writes is mended: `verify` holds it to the trace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotd.errors import QuestionError
from aotd.llm.base import Engine, Reply
from aotd.prompts import one_line, render
from aotd.records import Outcome, Question, Trace
from aotd.runtime.meter import once
from aotd.view.finding_text import numbered


def write(engine: Engine, question: Question, code: str, trace: Trace, *, max_tokens: int, boxes: int = 3) -> str:
    """The trace as the model tells it.

    Args:
        code: the program that made the trace.
        boxes: how many boxes of one finding the model is shown, spread evenly over its frames.

    Raises:
        QuestionError: `thought_cut`, where the reply is empty or was cut off at `max_tokens`; `nothing_said`, where it
            is all reasoning; `model_refused`.
        UserError: the model cannot be reached.
    """
    ((thought, _),) = write_all(engine, [(question, code, trace)], max_tokens=max_tokens, boxes=boxes)
    if isinstance(thought, QuestionError):
        raise thought
    return thought


def write_all(
    engine: Engine, tasks: Sequence[tuple[Question, str, Trace]], *, max_tokens: int, boxes: int
) -> list[tuple[str | QuestionError, list[Reply]]]:
    """`write` for many traces, which the engine may answer side by side; in order.

    With each the reply that it took; none where an earlier one had the same prompt.
    """
    prompts = [
        render(
            "write_thought",
            question=one_line(question.question),
            program=_LABEL.sub("    ", code.strip()),
            record=numbered(trace.events, boxes),
            answer=_bare(trace.answer),
        )
        for question, code, trace in tasks
    ]
    replies = engine.generate(prompts, max_tokens=max_tokens)
    paid = once(prompts, replies)
    return [(_thought(reply, max_tokens), own) for reply, own in zip(replies, paid, strict=True)]


_LABEL = re.compile(r"^(?=\s*(?:Program|Question|Record|Answer|Told)\s*:)", re.MULTILINE)
"""A line of a program, inside a text of its, that would look like one of the prompt's own parts."""


def _thought(reply: Reply, max_tokens: int) -> str | QuestionError:
    if reply.failed:
        return QuestionError(Outcome.model_refused, f"the writer: {reply.failed}")
    if reply.silent:
        return QuestionError(Outcome.nothing_said, f"the writer: {reply.silence()}")
    if not reply.finished:
        return QuestionError(Outcome.thought_cut, f"the writer's reply was cut off at {max_tokens} tokens")
    thought = _cleaned(reply.text)
    return thought or QuestionError(Outcome.thought_cut, "the writer's reply was empty")


def _cleaned(reply: str) -> str:
    """The reply without fences, a heading of its own and blank lines."""
    text = re.sub(r"^```\w*\s*|\s*```$", "", reply.strip())
    text = re.sub(r"^(?:\*\*)?(?:told|reasoning|rationale)(?:\*\*)?\s*:(?:\*\*)?\s*", "", text, flags=re.IGNORECASE)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _bare(text: str) -> str:
    """Without the full stop that the last sentence brings."""
    return one_line(text).rstrip(".").rstrip()
