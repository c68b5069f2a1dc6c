"""Writer `llm`: a language model retells the trace as a chain of thought (paper appendix D.2).

The model is shown the question, the program and a numbered record of what the tools found, and is told
the program's answer, never the true one. Nothing it writes is mended: `verify` holds it to the trace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotd.errors import QuestionError
from aotd.llm import Engine, Reply
from aotd.prompts import one_line, render
from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    CountFinding,
    Detection,
    Event,
    FlagFinding,
    Outcome,
    Program,
    Question,
    SpanFinding,
    TextFinding,
    Trace,
)


def write(
    engine: Engine, question: Question, program: Program, trace: Trace, *, max_tokens: int, boxes: int = 3
) -> str:
    """The trace as the model tells it.

    Args:
        boxes: how many boxes of one finding the model is shown, spread evenly over its frames.

    Raises:
        QuestionError: `thought_cut`, where the reply is empty or was cut off at `max_tokens`.
        UserError: the model cannot be reached.
    """
    (thought,) = write_all(engine, [(question, program, trace)], max_tokens=max_tokens, boxes=boxes)
    if isinstance(thought, QuestionError):
        raise thought
    return thought


def write_all(
    engine: Engine, tasks: Sequence[tuple[Question, Program, Trace]], *, max_tokens: int, boxes: int
) -> list[str | QuestionError]:
    """`write` for many traces, which the engine may answer side by side; in order."""
    prompts = [
        render(
            "write_thought",
            question=one_line(question.question),
            program=program.code.strip(),
            record=record(trace, boxes),
            answer=_bare(trace.answer),
        )
        for question, program, trace in tasks
    ]
    return [_thought(reply, max_tokens) for reply in engine.complete(prompts, max_tokens=max_tokens)]


def _thought(reply: Reply, max_tokens: int) -> str | QuestionError:
    if not reply.finished:
        return QuestionError(Outcome.thought_cut, f"the writer's reply was cut off at {max_tokens} tokens")
    thought = _cleaned(reply.text)
    return thought or QuestionError(Outcome.thought_cut, "the writer's reply was empty")


def record(trace: Trace, boxes: int) -> str:
    """What the tools found, one numbered line per step, for the prompt.

    `select_answer` is left out: what it was told has been found by the steps before it.
    """
    told = [f"{_asked(event)}: {_found(event, boxes)}" for event in trace.events if event.tool != "select_answer"]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(told, start=1)) or "nothing was looked at"


def _asked(event: Event) -> str:
    query = one_line(event.query)
    if event.tool == "trim":
        return "then looked only"
    if event.tool == "Filter_frames_with_act":
        return f"looked for {query}"
    if isinstance(event.finding, BoxesFinding):
        return f"found {query}"
    if isinstance(event.finding, CountFinding):
        return f"count of {query}"
    if isinstance(event.finding, FlagFinding):
        return f"is there {query}"
    if isinstance(event.finding, ActionsFinding):
        return f"actions with {query}" if query else "actions"
    if event.tool == "Compare":
        return "which of the two starts earlier"
    return "in short" if event.tool == "Video_summary" else f'asked "{query}"'


def _found(event: Event, boxes: int) -> str:
    finding = event.finding
    if isinstance(finding, SpanFinding):
        if finding.end <= finding.start:
            return "not found"
        return f"from frame {finding.start} to frame {finding.end - 1}"
    if isinstance(finding, BoxesFinding):
        return "; ".join(_place(found) for found in _spread(finding.boxes, boxes)) or "nothing"
    if isinstance(finding, ActionsFinding):
        return ", ".join(one_line(action) for action in finding.actions) or "none"
    if isinstance(finding, CountFinding):
        return str(finding.count)
    if isinstance(finding, FlagFinding):
        return "yes" if finding.flag else "no"
    assert isinstance(finding, TextFinding)
    return one_line(finding.text)


def _place(found: Detection) -> str:
    corners = ", ".join(str(round(value)) for value in found.box)
    return f"at [{corners}] in frame {found.frame}"


def _spread(found: tuple[Detection, ...], count: int) -> list[Detection]:
    """At most `count` of them, the first and the last among them."""
    if len(found) <= max(count, 1):
        return list(found)
    if count <= 1:
        return [max(found, key=lambda detection: detection.score)]
    return [found[round(i * (len(found) - 1) / (count - 1))] for i in range(count)]


def _cleaned(reply: str) -> str:
    """The reply without fences, a heading of its own and blank lines."""
    text = re.sub(r"^```\w*\s*|\s*```$", "", reply.strip())
    text = re.sub(r"^(?:\*\*)?(?:told|reasoning|rationale)(?:\*\*)?\s*:(?:\*\*)?\s*", "", text, flags=re.IGNORECASE)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _bare(text: str) -> str:
    """Without the full stop that the last sentence brings."""
    return one_line(text).rstrip(".").rstrip()
