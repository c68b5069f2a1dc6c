"""What each arm is trained on: every question's label, and the thoughts that passed the checks it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aotd.distill import ArmConfig
from aotd.errors import UserError
from aotd.prompts.student import prompt, target
from aotd.records import Example, Question, Thought, Verdict
from aotd.store.stage import Stage

CHECKS = ("answer", "faithful", "coherent")


@dataclass(frozen=True)
class Thoughts:
    """The run's thoughts and what became of them, by question."""

    thoughts: Mapping[str, Thought]
    verdicts: Mapping[str, Verdict]


def read_thoughts(run: Path) -> Thoughts:
    """The thoughts and verdicts of a run.

    Raises:
        UserError: `convert` or `verify` has not run.
    """
    return Thoughts(
        {thought.question_id: thought for thought in Stage(run, "convert", Thought).records()},
        {verdict.question_id: verdict for verdict in Stage(run, "verify", Verdict).records()},
    )


def check_arm(name: str, arm: ArmConfig) -> None:
    """
    Raises:
        UserError: the arm's name is no folder name, or it asks for a check there is not.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UserError(f"distill.arms: {name!r} names a folder: letters, digits, - and _ only")
    if arm.epochs < 0:
        raise UserError(f"distill.arms.{name}.epochs={arm.epochs} must be 0 (as distill.epochs) or more")
    for check in arm.require:
        if check not in CHECKS:
            raise UserError(f"distill.arms.{name}.require: there is no check {check!r}; one of {', '.join(CHECKS)}")


def example(question: Question, arm: ArmConfig, known: Thoughts) -> Example:
    """One question as an arm is trained on it."""
    key = question.question_id
    thought, verdict = known.thoughts.get(key), known.verdicts.get(key)
    passed = verdict is not None and all(getattr(verdict, check).passed for check in arm.require)
    rationale = thought.text if arm.rationales and thought is not None and passed else None
    return Example(question_id=key, prompt=prompt(question), answer=target(question), rationale=rationale)
