"""The aspects in which a judge looks at answers, and the prompts that it is given.

`answer` is a verdict and a score from 0 to 5, as in the zero-shot question answering of Video-ChatGPT (Maaz et al.,
ACL 2024) and on the paper's open-ended benchmarks (§4.1); the other five are the scores of that benchmark's own
questions. What is asked for is theirs, the prompts are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aotd.errors import UserError
from aotd.evaluate import JudgeProtocol
from aotd.prompts import one_line, render
from aotd.records import Question


@dataclass(frozen=True)
class Aspect:
    """One aspect in which answers are judged."""

    prompt: str
    """Name of its prompt."""
    type: str | None = None
    """The question type it is about; None for every open-ended question."""
    verdict: bool = False
    """Whether it also asks for right or wrong."""
    pairs: bool = False
    """Whether it looks at two questions with one answer at a time."""


ASPECTS = {
    "answer": Aspect("judge_open", verdict=True),
    "correctness": Aspect("judge_correctness", "generic"),
    "detail": Aspect("judge_detail", "generic"),
    "context": Aspect("judge_context", "generic"),
    "temporal": Aspect("judge_temporal", "temporal"),
    "consistency": Aspect("judge_consistency", "consistency", pairs=True),
}
PROTOCOLS = {
    JudgeProtocol.open: ("answer",),
    JudgeProtocol.video_chatgpt: tuple(name for name in ASPECTS if name != "answer"),
}


@dataclass(frozen=True)
class JudgeTask:
    """One thing to be judged."""

    question_id: str
    """Of a pair, its first question."""
    prompt: str | None
    """None where the arm gave no answer: that is wrong, and 0, without a judge."""


def tasks(aspect: str, questions: Sequence[Question], answers: Mapping[str, str]) -> list[JudgeTask]:
    """What is judged in one aspect: the open-ended questions of its type whose answer is known.

    Args:
        answers: question id -> the arm's answer; a question without one was not answered.

    Raises:
        UserError: a question of a pair stands alone.
    """
    chosen = ASPECTS[aspect]
    judged = [question for question in questions if is_open(question) and chosen.type in (None, question.type)]
    groups = _pairs(judged) if chosen.pairs else [(question,) for question in judged]
    return [JudgeTask(group[0].question_id, _prompt(chosen, group, answers)) for group in groups]


def is_open(question: Question) -> bool:
    """Whether a question is open-ended and its true answer known."""
    return not question.options and question.answer is not None


def _pairs(questions: Sequence[Question]) -> list[tuple[Question, ...]]:
    """Questions that share video and answer, two by two in their order."""
    sharing: dict[tuple[str, str | None], list[Question]] = {}
    for question in questions:
        sharing.setdefault((question.video_id, question.answer), []).append(question)
    for alike in sharing.values():
        if len(alike) % 2:
            raise UserError(
                f"{alike[-1].question_id}: no other `consistency` question has its video and answer, and consistency "
                "is judged on pairs: load both or neither (dataset.sample parts them, dataset.limit does not)"
            )
    return [tuple(alike[at : at + 2]) for alike in sharing.values() for at in range(0, len(alike), 2)]


def _prompt(aspect: Aspect, group: Sequence[Question], answers: Mapping[str, str]) -> str | None:
    given = [_shown(answers.get(question.question_id, "")) for question in group]
    if not all(given):
        return None
    words = {"question": [_shown(question.question) for question in group], "given": given}
    numbered = {
        f"{name}_{number}" if aspect.pairs else name: text
        for name, texts in words.items()
        for number, text in enumerate(texts, start=1)
    }
    return render(aspect.prompt, true=_shown(group[0].answer or ""), **numbered)


def _shown(text: str) -> str:
    """Untrusted text for a judge: on one line, and without braces, so that whoever quotes it quotes no judgement."""
    return one_line(text).replace("{", "(").replace("}", ")")
