"""One question's whole way through a run, and the scores of the arms: what `show` prints and `report` draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from aotd.errors import UserError
from aotd.records import (
    Dropped,
    Judgement,
    Mode,
    Part,
    Prediction,
    Program,
    Question,
    Record,
    Thought,
    Trace,
    Verdict,
)
from aotd.scoring.tables import Comparison, Contamination, JudgeAgreement, Scores
from aotd.store.ledger import Place, ledger
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.store.untrusted import is_file, lines
from aotd.verbs import FLOW

R = TypeVar("R", bound=Record)
P = TypeVar("P", bound=Part)

_FIRST = ("blind", "frequent", "agent", "instruct")
"""Arms that stand before the others in a table: what the others are compared with."""


@dataclass(frozen=True)
class ArmReplies:
    """What one arm replied to a question."""

    arm: str
    replies: dict[Mode, Prediction | Dropped]
    """Suffix -> the reply, or why there is none; an arm that gives no reasons has no `rationale`."""
    judgements: dict[str, Judgement] = field(default_factory=dict)
    """Judge and respect -> what it made of the answer to an open-ended question."""


@dataclass(frozen=True)
class Story:
    """A question and all that was made of it; None where no verb came so far."""

    question: Question
    place: Place
    program: Program | None
    trace: Trace | None
    thought: Thought | None
    verdict: Verdict | None
    arms: tuple[ArmReplies, ...]

    @property
    def code(self) -> str | None:
        """The program that ran last, or the one that was written where none has run."""
        if self.trace and self.trace.code is not None:
            return self.trace.code
        return self.program.code if self.program else None


def stories(run: Run, ids: Sequence[str], places: dict[str, Place] | None = None) -> list[Story]:
    """The stories of some questions, in the order asked for.

    Args:
        places: the run's ledger, where the caller has read it.

    Raises:
        UserError: nothing was loaded, or a line is damaged.
    """
    places = places or dict(ledger(run).places)
    questions = _some(run.questions, ids)
    programs = _some(run.programs, _passed(run.programs.name, places, ids))
    traces = _some(run.traces, _passed(run.traces.name, places, ids))
    thoughts = _some(run.thoughts, _passed(run.thoughts.name, places, ids))
    verdicts = _some(run.verdicts, _passed(run.verdicts.name, places, ids))
    replies_of = {arm: {mode: _replies(run.predictions(arm, mode), set(ids)) for mode in Mode} for arm in arms(run)}
    judged = {arm: _judgements(run, arm, ids) for arm in replies_of}
    found = []
    for key in ids:
        if key not in questions:
            raise UserError(f"question {key!r} was dropped by load: {places[key].reason}")
        by_arm = [
            ArmReplies(
                arm,
                {mode: by[key] for mode, by in modes.items() if key in by},
                {judge: by[key] for judge, by in judged[arm].items() if key in by},
            )
            for arm, modes in replies_of.items()
        ]
        found.append(
            Story(
                question=questions[key],
                place=places[key],
                program=programs.get(key),
                trace=traces.get(key),
                thought=thoughts.get(key),
                verdict=verdicts.get(key),
                arms=tuple(arm for arm in by_arm if arm.replies),
            )
        )
    return found


def arms(run: Run) -> list[str]:
    """The arms that were put to questions: baselines and the agent first, then the students."""
    names = {path.parent.parent.name for path in (run.folder / "evaluate").glob("*/*/manifest.json")}
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def scores(run: Run) -> list[Scores]:
    """The scores of the arms that have been evaluated to the end; none where `evaluate` has not run.

    Raises:
        UserError: a file of scores is damaged.
    """
    return _of_arms(run, "scores.json", Scores)


def leaks(run: Run) -> list[Contamination]:
    """What the students of the run were asked that they had been trained on.

    Raises:
        UserError: a file is damaged.
    """
    return _of_arms(run, "seen.json", Contamination)


def _of_arms(run: Run, name: str, part: type[P]) -> list[P]:
    found = []
    for arm in arms(run):
        path = run.folder / "evaluate" / arm / name
        if is_file(path):
            try:
                found.append(part.model_validate_json(path.read_bytes()))
            except ValidationError:
                raise UserError(f"{path} does not hold {path.stem}: run `aotd evaluate` again") from None
    return found


def comparisons(run: Run) -> list[Comparison]:
    """How the arms compare with their reference, and with another run's; none where nothing was compared.

    Raises:
        UserError: the file is damaged.
    """
    path = run.folder / "evaluate" / "comparison.jsonl"
    try:
        return [Comparison.model_validate_json(line) for _, line in lines(path)] if is_file(path) else []
    except ValidationError:
        raise UserError(f"{path} does not hold comparisons: run `aotd evaluate` again") from None


def agreements(run: Run) -> list[JudgeAgreement]:
    """How far judges agree; none where no arm has two.

    Raises:
        UserError: the file is damaged.
    """
    path = run.folder / "evaluate" / "agreement.jsonl"
    try:
        return [JudgeAgreement.model_validate_json(line) for _, line in lines(path)] if is_file(path) else []
    except ValidationError:
        raise UserError(f"{path} does not hold agreements: run `aotd evaluate` again") from None


def _some(stage: Stage[R], ids: Collection[str]) -> dict[str, R]:
    """The records of some questions; none where the verb has not run."""
    return stage.records_of(set(ids)) if stage.exists else {}


def _passed(verb: str, places: Mapping[str, Place], ids: Collection[str]) -> list[str]:
    """Those of some questions that a verb has a record of: they have come further, or ended there by a verdict."""
    further = FLOW[FLOW.index(verb) + 1 :] or FLOW[-1:]
    return [key for key in ids if places[key].verb in further]


def _replies(stage: Stage[Prediction], ids: Collection[str]) -> dict[str, Prediction | Dropped]:
    read = _some(stage, ids)
    dropped = {line.question_id: line for line in stage.stream_dropped() if line.question_id in ids}
    return {**read, **dropped}


def _judgements(run: Run, arm: str, ids: Collection[str]) -> dict[str, dict[str, Judgement]]:
    """Judge and aspect -> its judgements of some questions."""
    folders = sorted(path.parent for path in (run.folder / "evaluate" / arm / "judge").glob("*/*/manifest.json"))
    return {
        f"{folder.parent.name}, {folder.name}": _some(run.judgements(arm, folder.parent.name, folder.name), ids)
        for folder in folders
    }
