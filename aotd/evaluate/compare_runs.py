"""Arms held against the reference of their run, and against those of another run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.evaluate import Reading
from aotd.evaluate.compare import Said, compare
from aotd.evaluate.external import check_ids
from aotd.records import Mode, Prediction, Question
from aotd.scoring.tables import Comparison
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.view.question import arms as evaluated


def compare_arms(config: Config, asked: Sequence[Question], arms: Sequence[str]) -> list[Comparison]:
    """The arms beside the reference; nothing where it is not among them, or is the only one."""
    settings, students = config.evaluate, _said(Path(config.run), asked, arms)
    if settings.reference not in students or len(students) < 2:
        return []
    against = students[settings.reference]
    return compare(asked, students, settings.reference, against, settings.resamples, config.seed)


def compare_runs(config: Config, asked: Sequence[Question], arms: Sequence[str]) -> list[Comparison]:
    """The arms beside those of `evaluate.against`, on the questions that both runs were asked.

    Raises:
        UserError: the runs have no arm or no question in common, or one id stands for two different questions.
    """
    settings, found = config.evaluate, list[Comparison]()
    if not settings.against:
        return found
    other, only = other_run(settings.against)
    shared = _shared(asked, other)
    if len(shared) < len(asked):
        left = f"{len(asked) - len(shared)} of {len(asked)} questions are not in {other}: they are not compared"
        Console(stderr=True).print(left, highlight=False)
    names = [only] if only else evaluated(Run(other))
    theirs = _said(other, Stage(other, "load", Question).records(), names)
    mine = _said(Path(config.run), asked, arms)
    for name in names:
        if only or _stem(name) in mine:
            _check_reading(other, name, settings.reading)
    for arm, students in mine.items():
        name = next(iter(theirs)) if only else arm
        if name in theirs:
            reference = str(other / "evaluate" / name)
            both = {reference: theirs[name], arm: students}
            found += compare(shared, both, reference, theirs[name], settings.resamples, config.seed)
    if not found:
        there = ", ".join(theirs) or "none"
        raise UserError(f"evaluate.against={settings.against}: none of these arms is there (it has {there})")
    return found


def _said(run: Path, asked: Sequence[Question], arms: Sequence[str]) -> dict[str, list[Said]]:
    """Arm -> what each of its students said; one that was trained from several seeds has several."""
    known = {question.question_id for question in asked}
    students: dict[str, list[Said]] = {}
    for name in arms:
        students.setdefault(_stem(name), []).append(_of_arm(run, name, known))
    return students


def _stem(name: str) -> str:
    """The arm of one seed's student, such as `aotd` of `aotd.0`; any other name is the arm's own."""
    stem, _, number = name.rpartition(".")
    return stem if stem and number.isdecimal() else name


def _of_arm(run: Path, arm: str, known: Collection[str]) -> Said:
    """What an arm of a run has said to the last.

    Raises:
        UserError: it has not been evaluated, a line is damaged, or one is about a question that is not known.
    """
    modes = [Stage(run, f"evaluate/{arm}/{mode.value}", Prediction) for mode in (Mode.answer, Mode.rationale)]
    for stage in modes:
        if stage.manifest_path.is_file():
            check_ids(stage, known)
    return Said(modes[0].records(), modes[1].records() if modes[1].manifest_path.is_file() else None)


def other_run(name: str) -> tuple[Path, str | None]:
    """`runs/a` is a run; `runs/a/evaluate/instruct` is one of its arms.

    Raises:
        UserError: neither is there.
    """
    path = Path(name)
    run, arm = (path.parent.parent, path.name) if path.parent.name == "evaluate" else (path, None)
    if not (run / "load" / "manifest.json").is_file() or (arm and not path.is_dir()):
        raise UserError(f"evaluate.against={name} is not a run, nor RUN/evaluate/ARM")
    return run, arm


def _check_reading(run: Path, arm: str, here: Reading) -> None:
    """
    Raises:
        UserError: the arm's replies were read otherwise than these, so that the difference would be the reading's.
    """
    stage = Stage(run, f"evaluate/{arm}/answer", Prediction)
    made = stage.manifest().get("settings")
    if not isinstance(made, dict):
        raise UserError(f"evaluate.against: {stage.manifest_path} does not say with which settings it was made")
    there = made.get("reading", Reading.strict.value)
    if there != here.value:
        raise UserError(
            f"evaluate.against: {run / 'evaluate' / arm}: its replies were read with evaluate.reading={there}, these "
            f"{'strictly' if here is Reading.strict else 'leniently'}: read both alike"
        )


def _shared(asked: Sequence[Question], other: Path) -> list[Question]:
    """Those of the asked questions that another run has loaded too.

    Raises:
        UserError: none is; or one id stands for two different questions.
    """
    theirs = {question.question_id: question for question in Stage(other, "load", Question).records()}
    both = [question for question in asked if question.question_id in theirs]
    if not both:
        raise UserError(f"evaluate.against: {other} has none of the questions that are asked here")
    for question in both:
        mine, other_one = _core(question), _core(theirs[question.question_id])
        if mine != other_one:
            raise UserError(
                f"evaluate.against: question {question.question_id!r} is another one in {other}: "
                f"{mine[0]!r} with {len(mine[1])} options here, {other_one[0]!r} with {len(other_one[1])} there"
            )
    return both


def _core(question: Question) -> tuple[str, tuple[str, ...], str | None, str]:
    return question.question, question.options, question.answer, question.video_id
