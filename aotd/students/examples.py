"""What a student is trained on: every question's label, and the thoughts that passed the checks asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aotd.prompts.student import prompt, target
from aotd.records import Example, Question, Thought, Verdict
from aotd.store.run import Run
from aotd.students import ChoiceReply

CHECKS = ("answer", "faithful", "coherent")


@dataclass(frozen=True)
class Thoughts:
    """The run's thoughts and what became of them, by question."""

    thoughts: Mapping[str, Thought]
    verdicts: Mapping[str, Verdict]


def read_thoughts(run: Run) -> Thoughts:
    """Read the thoughts and verdicts of a run.

    Raises:
        UserError: `convert` or `verify` has not run.
    """
    return Thoughts(
        {thought.question_id: thought for thought in run.thoughts.records()},
        {verdict.question_id: verdict for verdict in run.verdicts.records()},
    )


def make_example(
    question: Question,
    known: Thoughts,
    *,
    rationales: bool,
    require: Sequence[str],
    choice_reply: ChoiceReply = ChoiceReply.letter,
) -> Example:
    """Make the example of one question.

    Args:
        rationales: False: its label only.
        require: checks that a thought must have passed; without one that did, the example is its label only.
    """
    key = question.question_id
    thought, verdict = known.thoughts.get(key), known.verdicts.get(key)
    passed = verdict is not None and all(getattr(verdict, check).passed for check in require)
    rationale = thought.text if rationales and thought is not None and passed else None
    answer = target(question, letter=choice_reply is ChoiceReply.letter)
    return Example(question_id=key, prompt=prompt(question), answer=answer, rationale=rationale)
