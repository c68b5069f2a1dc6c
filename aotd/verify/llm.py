"""Judge `llm`: a language model says yes or no (paper §3.3 and appendix D.3).

The judge is held to Yes or No where its engine can do that. A judgement that cannot be read is a failed
check that says so; it is never taken for a yes. A judge that only thought, and said nothing, has not judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotd.errors import QuestionError
from aotd.llm.base import Engine
from aotd.llm.choice import Choice
from aotd.prompts import one_line, render
from aotd.records import Check, Outcome, Question, Thought

_OPTIONS = ("Yes", "No")


def coherent(
    engine: Engine, tasks: Sequence[tuple[Question, Thought]], *, max_tokens: int
) -> list[Check | QuestionError]:
    """Whether each thought goes step by step and helps to answer its question; in order.

    Raises:
        UserError: the model cannot be reached.
    """
    prompts = [
        render("judge_coherence", question=one_line(question.question), thought=one_line(thought.text))
        for question, thought in tasks
    ]
    choices = engine.choose(prompts, [_OPTIONS] * len(prompts), max_tokens=max_tokens)
    return [_check(engine.model, choice, "step by step and helpful") for choice in choices]


def same_answer(
    engine: Engine, tasks: Sequence[tuple[Question, str]], *, max_tokens: int
) -> list[Check | QuestionError]:
    """Whether each given open-ended answer means what the true one of its question means; in order.

    Raises:
        UserError: the model cannot be reached.
    """
    prompts = []
    for question, given in tasks:
        assert question.answer is not None, "a question without a true answer cannot be judged"
        words = {"question": question.question, "true": question.answer, "given": given}
        prompts.append(render("judge_answer", **{name: one_line(text) for name, text in words.items()}))
    choices = engine.choose(prompts, [_OPTIONS] * len(prompts), max_tokens=max_tokens)
    return [
        _check(engine.model, choice, f"{given!r} means {question.answer!r}")
        for (question, given), choice in zip(tasks, choices, strict=True)
    ]


def read_verdict(reply: str) -> bool | None:
    """Yes or no, where the reply's first word is that (`True`, `**Yes**` too) and the opposite does not follow.

    None for any other reply. Since the first word decides, a reply cut off behind it can be read.
    """
    words = re.findall(r"[a-z]+", reply.casefold())
    verdicts = [word in ("yes", "true") for word in words if word in ("yes", "true", "no", "false")]
    decided = words[:1] and words[0] in ("yes", "true", "no", "false") and len(set(verdicts)) == 1
    return verdicts[0] if decided else None


def _check(judge: str, choice: Choice, claim: str) -> Check | QuestionError:
    if choice.silence:
        outcome = Outcome.model_refused if choice.refused else Outcome.nothing_said
        return QuestionError(outcome, f"{judge} gave no judgement: {choice.silence}")
    verdict = read_verdict(choice.reply)
    if verdict is None:
        return Check(passed=False, reason=f"{judge} gave no readable judgement: {one_line(choice.reply)[:80]!r}")
    return Check(passed=verdict, reason=f"{judge} says {'yes' if verdict else 'no'}: {claim}")
