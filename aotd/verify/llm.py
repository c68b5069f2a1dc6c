"""Judge `llm`: a language model says yes or no (paper §3.3 and appendix D.3).

A judgement that cannot be read is a failed check that says so; it is never taken for a yes.
"""

from __future__ import annotations

import re

from aotd.llm import Engine
from aotd.prompts import one_line, render
from aotd.records import Check, Question, Thought

TOKENS = 16
"""Longest judgement asked for."""


def coherent(engine: Engine, question: Question, thought: Thought, *, max_tokens: int = TOKENS) -> Check:
    """Whether the thought goes step by step and helps to answer its question.

    Raises:
        UserError: the model cannot be reached.
    """
    text = render("judge_coherence", question=one_line(question.question), thought=one_line(thought.text))
    return _judge(engine, text, "step by step and helpful", max_tokens)


def same_answer(engine: Engine, question: Question, given: str, *, max_tokens: int = TOKENS) -> Check:
    """Whether a given open-ended answer means what the true one means.

    Raises:
        UserError: the model cannot be reached.
    """
    assert question.answer is not None, "a question without a true answer cannot be judged"
    text = render(
        "judge_answer",
        question=one_line(question.question),
        true=one_line(question.answer),
        given=one_line(given),
    )
    return _judge(engine, text, f"{given!r} means {question.answer!r}", max_tokens)


def read_verdict(reply: str) -> bool | None:
    """Yes or no, where the reply's first word is that (`True`, `**Yes**` too) and the opposite does not follow.

    None for any other reply. Since the first word decides, a reply cut off behind it can be read.
    """
    words = re.findall(r"[a-z]+", reply.casefold())
    said = [word in ("yes", "true") for word in words if word in ("yes", "true", "no", "false")]
    return said[0] if said and words[0] in ("yes", "true", "no", "false") and len(set(said)) == 1 else None


def _judge(engine: Engine, prompt: str, claim: str, max_tokens: int) -> Check:
    reply = engine.complete([prompt], max_tokens=max_tokens)[0]
    verdict = read_verdict(reply.text)
    if verdict is None:
        return Check(passed=False, reason=f"{engine.model} gave no readable judgement: {one_line(reply.text)[:80]!r}")
    return Check(passed=verdict, reason=f"{engine.model} says {'yes' if verdict else 'no'}: {claim}")
