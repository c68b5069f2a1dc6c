"""Arms compared with the reference of their run, and with those of another run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig, Reading
from aotd.evaluate.compare import ArmPredictions, compare
from aotd.evaluate.external import check_ids
from aotd.records import Mode, Question
from aotd.scoring.tables import Comparison
from aotd.store.run import Run
from aotd.students import ChoiceReply
from aotd.view.question import arms as evaluated

_log = logging.getLogger(__name__)


def compare_arms(
    run: Run, evaluate: EvaluateConfig, questions: Sequence[Question], arms: Sequence[str], seed: int
) -> list[Comparison]:
    """The arms beside the reference; nothing where it is not among them, or is the only one."""
    students = _predictions(run, questions, arms)
    if evaluate.reference not in students or len(students) < 2:
        return []
    baseline = students[evaluate.reference]
    return compare(questions, students, evaluate.reference, baseline, evaluate.resamples, seed)


def compare_runs(
    run: Run, evaluate: EvaluateConfig, questions: Sequence[Question], arms: Sequence[str], seed: int
) -> list[Comparison]:
    """The arms beside those of `evaluate.baseline_run`, on the questions that both runs were asked.

    Raises:
        UserError: the runs have no arm or no question in common, one id stands for two different questions, or replies
            were asked for or read by other rules.
    """
    comparisons = list[Comparison]()
    if not evaluate.baseline_run:
        return comparisons
    other, only = baseline_of(evaluate.baseline_run)
    shared = _shared(questions, other)
    if len(shared) < len(questions):
        missing = len(questions) - len(shared)
        message = f"{missing} of {len(questions)} questions are not in {other}: they are not compared"
        _log.info(message)
    names = [only] if only else evaluated(other)
    theirs = _predictions(other, other.questions.records(), names)
    mine = _predictions(run, questions, arms)
    for name in names:
        if only or _stem(name) in mine:
            _check_reading(other, name, evaluate.reading)
    for arm, students in mine.items():
        name = next(iter(theirs)) if only else arm
        if name in theirs:
            _check_choice_reply(run, [one for one in arms if _stem(one) == arm], other, names, name)
            reference = str(other.folder / "evaluate" / name)
            both = {reference: theirs[name], arm: students}
            comparisons += compare(shared, both, reference, theirs[name], evaluate.resamples, seed)
    if not comparisons:
        there = ", ".join(theirs) or "none"
        raise UserError(f"evaluate.baseline_run={evaluate.baseline_run}: none of these arms is there (it has {there})")
    return comparisons


def _predictions(run: Run, questions: Sequence[Question], arms: Sequence[str]) -> dict[str, list[ArmPredictions]]:
    """Arm -> the predictions of each of its students; one that was trained from several seeds has several."""
    known = {question.question_id for question in questions}
    students: dict[str, list[ArmPredictions]] = {}
    for name in arms:
        students.setdefault(_stem(name), []).append(_of_arm(run, name, known))
    return students


def _stem(name: str) -> str:
    """The arm of one seed's student, such as `aotd` of `aotd.0`; any other name is the arm's own."""
    stem, _, number = name.rpartition(".")
    return stem if stem and number.isdecimal() else name


def _of_arm(run: Run, arm: str, known: Collection[str]) -> ArmPredictions:
    """The predictions of an arm of a run.

    Raises:
        UserError: it has not been evaluated, a line is damaged, or one is about a question that is not known.
    """
    answers, rationales = (run.predictions(arm, mode) for mode in (Mode.answer, Mode.rationale))
    for stage in (answers, rationales):
        if stage.exists:
            check_ids(stage, known)
    return ArmPredictions.of(answers, rationales if rationales.exists else None)


def baseline_of(name: str) -> tuple[Run, str | None]:
    """`runs/a` is a run; `runs/a/evaluate/instruct` is one of its arms.

    Raises:
        UserError: neither is there.
    """
    path = Path(name)
    folder, arm = (path.parent.parent, path.name) if path.parent.name == "evaluate" else (path, None)
    run = Run(folder)
    if not run.questions.exists or (arm and not path.is_dir()):
        raise UserError(f"evaluate.baseline_run={name} is not a run, nor RUN/evaluate/ARM")
    return run, arm


def _check_reading(run: Run, arm: str, here: Reading) -> None:
    """
    Raises:
        UserError: the arm's replies were read otherwise than these, so that the difference would be the reading's.
    """
    stage = run.predictions(arm, Mode.answer)
    made = stage.manifest().get("settings")
    if not isinstance(made, dict):
        raise UserError(f"evaluate.baseline_run: {stage.manifest_path} does not say with which settings it was made")
    there = made.get("reading", Reading.strict.value)
    if there != here.value:
        raise UserError(
            f"evaluate.baseline_run: {run.folder / 'evaluate' / arm}: its replies were read with "
            f"evaluate.reading={there}, these {'strictly' if here is Reading.strict else 'leniently'}: read both alike"
        )


def _check_choice_reply(run: Run, mine: Sequence[str], other: Run, names: Sequence[str], theirs: str) -> None:
    """
    Args:
        mine: the students of an arm.
        names: the arms of the other run.
        theirs: the arm among them that these are compared with.

    Raises:
        UserError: the one's students were asked for letters and the other's for words.
    """
    here = {_choice_reply(run, arm) for arm in mine} - {None}
    there = {_choice_reply(other, arm) for arm in names if theirs in (arm, _stem(arm))} - {None}
    if here and there and here != there:
        raise UserError(
            f"evaluate.baseline_run: {other.folder / 'evaluate' / theirs}: it was asked with student.choice_reply="
            f"{', '.join(sorted(map(str, there)))}, and {', '.join(mine)} with {', '.join(sorted(map(str, here)))}: "
            "ask both alike"
        )


def _choice_reply(run: Run, arm: str) -> str | None:
    """How an arm was asked for options; None of one that is no student."""
    settings = run.predictions(arm, Mode.answer).manifest().get("settings")
    if not isinstance(settings, dict) or "batch" not in settings:
        return None
    return str(settings.get("choice_reply", ChoiceReply.letter.value))


def _shared(questions: Sequence[Question], other: Run) -> list[Question]:
    """Those of the asked questions that another run has loaded too.

    Raises:
        UserError: none is; or one id stands for two different questions.
    """
    theirs = {question.question_id: question for question in other.questions.records()}
    both = [question for question in questions if question.question_id in theirs]
    if not both:
        raise UserError(f"evaluate.baseline_run: {other} has none of the questions that are asked here")
    for question in both:
        mine, its = _core(question), _core(theirs[question.question_id])
        if mine != its:
            raise UserError(
                f"evaluate.baseline_run: question {question.question_id!r} is another one in {other}: "
                f"{mine[0]!r} with {len(mine[1])} options here, {its[0]!r} with {len(its[1])} there"
            )
    return both


def _core(question: Question) -> tuple[str, tuple[str, ...], str | None, str]:
    return question.question, question.options, question.answer, question.video_id
