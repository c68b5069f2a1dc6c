"""distill: train a student per arm on labels and chains of thought.

Reads load/, convert/ and verify/; writes distill/<arm>/ with the examples (one JSON line per question),
the losses and the student. Every arm sees the same questions in the same order from the same start; arms
differ in which chains of thought they are given. loss = label + λ·rationale, over the replies' tokens only.
An arm may be trained in several stages (distill.arms.NAME.stages), each from the student of the one before.

An arm that was killed goes on from its newest whole checkpoint (save_steps), or starts its stage again from
its seed; a finished one is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from aotd.datasets.base import DatasetConfig
from aotd.distill import DistillConfig
from aotd.distill.arms import Arm, TrainingSetup, TrainingStage, arms_of, manifest_settings, remove_leftovers
from aotd.distill.check import check_settings, check_trainable
from aotd.distill.ranks import first_alone
from aotd.distill.training_data import MixtureData, TrainingData, read_training_data
from aotd.errors import QuestionError, UserError
from aotd.prompts import digest
from aotd.prompts.student import SUFFIXES
from aotd.records import Dropped, Example, Outcome, Question
from aotd.runtime.gc import loading_modules
from aotd.runtime.progress import progress
from aotd.specialists import SpecialistsConfig
from aotd.store.run import Run
from aotd.students import StudentConfig
from aotd.students.examples import make_example
from aotd.students.features import FeatureCache
from aotd.tracking import TrackingConfig


class ReplyLengths(Protocol):
    """The settings of `evaluate` that bound replies: samples are as long as the replies it will ask for."""

    max_rationale_tokens: int


def job(
    run: Run,
    *,
    distill: DistillConfig,
    student: StudentConfig,
    dataset: DatasetConfig,
    specialists: SpecialistsConfig,
    evaluate: ReplyLengths,
    seed: int,
    tracking: TrackingConfig,
) -> None:
    """Train every arm that has no student yet.

    Raises:
        UserError: a verb before has not run, settings that cannot be trained with, or no question that can be.
    """
    check_settings(distill, student, specialists)
    longest = evaluate.max_rationale_tokens
    setup = TrainingSetup(run, distill, student, specialists, dataset.root, seed, tracking, longest)
    arms = arms_of(distill, student.lora_rank, seed)
    data = read_training_data(setup, arms.values())
    if not any(question.answer is not None for part in data.mixtures.values() for question in part.questions.values()):
        raise UserError(f"distill.split={distill.split}: the run has no question with an answer in that split")
    wanted = [arm for name, arm in arms.items() if not distill.only or name.partition(".")[0] in distill.only]
    _check_thoughts(setup, wanted, data)
    todo = [arm for arm in wanted if not arm.last.is_finished(run)]
    if todo:
        with loading_modules():
            from aotd.distill.parallel import train_arms
            from aotd.students.registry import trainable_parts
        check_trainable(distill, student.name, trainable_parts(student.name))
    with first_alone(run.folder / "distill") as first:
        if first:
            for arm in wanted:
                if arm not in todo:
                    remove_leftovers(run, arm)  # of one that was killed just when it had finished
            _write_examples(setup, wanted, data, todo)
    _check_examples(run, [arm for arm in todo if arm.config.train])
    if todo:
        train_arms(setup, todo, data)


def _write_examples(setup: TrainingSetup, arms: Sequence[Arm], data: TrainingData, todo: Sequence[Arm]) -> None:
    prompts = {name: digest(name) for name in SUFFIXES}
    unreadable = _unreadable(setup, data) if todo else {}
    for arm in arms:
        for stage in arm.stages:
            source = data.of(stage)
            settings = manifest_settings(setup, arm, stage)
            with stage.examples(setup.run).open(settings, inputs=source.inputs, prompts=prompts) as out:
                for key, question in source.questions.items():
                    if key not in out.done:
                        out.write(unreadable.get((source.roots[key], key)) or _example(setup, question, stage, source))


def _check_thoughts(setup: TrainingSetup, arms: Sequence[Arm], data: TrainingData) -> None:
    for arm in arms:
        for stage in arm.stages:
            source = data.of(stage)
            labelled = [question for question in source.questions.values() if question.answer is not None]
            examples = (_example(setup, question, stage, source) for question in labelled)
            if stage.rationales and not any(isinstance(example, Example) and example.rationale for example in examples):
                wanted = ", ".join(stage.require) or "no check"
                raise UserError(
                    f"{stage.setting} wants chains of thought, but none of split {setup.distill.split} "
                    f"passed {wanted}: look at `aotd show {setup.run}`, or ask for less in {stage.setting}.require"
                )


def _check_examples(run: Run, arms: Sequence[Arm]) -> None:
    empty = {stage.name: stage for arm in arms for stage in arm.stages if not stage.examples(run).count()}
    if not empty:
        return
    dropped = next(iter(empty.values())).examples(run).dropped()  # arms are given the same questions
    outcome, count = Counter(line.outcome for line in dropped).most_common(1)[0]
    example = next(line for line in dropped if line.outcome is outcome)
    folders = " ".join(str(stage.files(run).folder) for stage in empty.values())
    raise UserError(
        f"distill: all {len(dropped)} questions of arm{'s' * (len(empty) > 1)} {', '.join(empty)} were dropped, "
        f"{count} of them as {outcome.value}, such as {example.question_id} ({example.reason}): mend that, remove "
        f"{folders}, where they are written down, and run the verb again"
    )


def _unreadable(setup: TrainingSetup, data: TrainingData) -> dict[tuple[str, str], Dropped]:
    """Compute the student's features of every video once; return the questions whose video cannot be read.

    Returns:
        Root of its video and question id -> the question, dropped.

    Raises:
        UserError: the disk does not take the features of a video.
    """
    from aotd.distill.train_arm import new_student_of

    caches = data.features(setup, new_student_of(setup, data, setup.seed))
    unreadable = {}
    questions = {
        (source.roots[key], key): question
        for source in data.mixtures.values()
        for key, question in source.questions.items()
    }
    current: FeatureCache | None = None
    for (root, key), question in progress("distill: videos", questions.items(), len(questions)):
        if current is not None and caches[root] is not current:
            current.flush()  # the next root may name the same videos, and all caches write into one folder
        current = caches[root]
        try:
            current.ensure(question)
        except QuestionError as error:
            unreadable[root, key] = Dropped(question_id=key, outcome=error.outcome, reason=str(error))
    if current is not None:
        current.flush()
    return unreadable


def _example(setup: TrainingSetup, question: Question, stage: TrainingStage, source: MixtureData) -> Example | Dropped:
    if question.answer is None:
        reason = "no true answer is known"
        return Dropped(question_id=question.question_id, outcome=Outcome.unlabelled, reason=reason)
    return make_example(
        question,
        source.known,
        rationales=stage.rationales,
        require=stage.require,
        choice_reply=setup.student.choice_reply,
    )
