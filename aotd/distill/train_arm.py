"""Training one arm, stage by stage: its examples in the student's tokens, by a plan."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aotd.distill.arms import Arm, TrainingSetup, TrainingStage, remove_leftovers
from aotd.distill.batch import TokenizedExample, tokenize_example
from aotd.distill.plan import BatchPlan, SequenceSizes, make_plan, shorten
from aotd.distill.ranks import is_first, processes, wait_for_all
from aotd.distill.train import PlannedBatches, train
from aotd.distill.training_data import MixtureData, TrainingData
from aotd.errors import UserError
from aotd.prompts.student import prompt
from aotd.records import Example, Mode, Question
from aotd.runtime.signals import stopping
from aotd.store.files import disk_errors, sync, sync_tree
from aotd.store.tensors import tensor_errors
from aotd.students.choices import answer, wants_letter
from aotd.students.features import FeatureCache
from aotd.students.registry import load_student, new_student
from aotd.tracking import Cell, Picture, Tracker, TrackerName
from aotd.tracking.process import open_tracker
from aotd.video_llms.base import PromptInput, VideoLLM

SAMPLES = 8
"""Questions whose replies are shown to the tracker."""

ShowProgress = Callable[[int, int], None]
"""Called with the step an arm is at, and how many there are."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage's examples in a student's tokens, and when each is trained on."""

    stage: TrainingStage
    source: MixtureData
    questions: Sequence[Question]
    """Of each example."""
    examples: Sequence[TokenizedExample]
    plan: BatchPlan

    def caches(self, caches: dict[str, FeatureCache]) -> list[FeatureCache]:
        """Return the cache of each example's video, given one for each root."""
        return [caches[self.source.roots[question.question_id]] for question in self.questions]


def train_arm(setup: TrainingSetup, arm: Arm, data: TrainingData, show: ShowProgress) -> None:
    """Train one arm from its newest checkpoint or from its seed. At the end its student is written.

    Args:
        data: what the run's seed has drawn, as for the arm's examples.
    """
    before = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(setup.distill.threads)
    if is_first():
        for stage in arm.stages:
            shutil.rmtree(stage.files(setup.run).partial_student, ignore_errors=True)
    gc.collect()  # the arm before: its `Trainer` refers to itself, and would keep its student beside this one
    if arm.config.train:
        finished = _train_stages(setup, arm, data, show)
    else:
        finished = True
        if is_first():
            files = arm.last.files(setup.run)
            student = new_student_of(setup, data, arm.seed)
            with tensor_errors(files.partial_student):
                student.save(files.partial_student)
            _put_in_place(files.partial_student)
    torch.set_num_threads(before)
    if finished and is_first():
        remove_leftovers(setup.run, arm)


def _train_stages(setup: TrainingSetup, arm: Arm, data: TrainingData, show: ShowProgress) -> bool:
    """Train the stages that are not finished; return whether all are."""
    todo = [stage for stage in arm.stages if not stage.is_finished(setup.run)]
    student = _student_before(setup, arm, todo[0], data)
    # All are planned before the first begins: a question that fits in no batch is reported before any training.
    planned = [_plan_stage(setup, arm, stage, data, student) for stage in todo]
    steps, total = 0, sum(stage.plan.steps for stage in planned)
    with open_tracker(setup.tracking, setup.run, "distill", f"distill/{arm.name}") as tracker:
        for number, stage in enumerate(planned):
            if number:
                del student
                gc.collect()  # as above: one student at a time
                student = _student_before(setup, arm, stage.stage, data)
            if not _train_stage(setup, arm, stage, data, student, tracker, _from_step(show, steps, total)):
                return False
            steps += stage.plan.steps
            if number + 1 < len(planned) and processes() == 1 and stopping():
                return False
    return True


def _from_step(show: ShowProgress, first: int, total: int) -> ShowProgress:
    """Return what shows a stage's steps as an arm's, of which the stage's begin behind the `first`."""
    return lambda step, _: show(first + step, total)


def _student_before(setup: TrainingSetup, arm: Arm, stage: TrainingStage, data: TrainingData) -> VideoLLM:
    """Return the student that a stage begins from: that of the stage before, read from the disk as after a kill."""
    position = arm.stages.index(stage)
    if not position:
        return new_student_of(setup, data, arm.seed)
    return load_student(arm.stages[position - 1].files(setup.run).student, setup.student)


def _plan_stage(
    setup: TrainingSetup, arm: Arm, stage: TrainingStage, data: TrainingData, student: VideoLLM
) -> PlannedStage:
    """
    Raises:
        UserError: a batch cannot hold some question.
    """
    source = data.of(stage)
    caches = data.features(setup, student, arm.config.video)
    examples = stage.examples(setup.run).records()
    questions = [source.questions[example.question_id] for example in examples]
    features = [caches[source.roots[example.question_id]] for example in examples]
    tokenized = [
        tokenize_example(student, example, wants_letter(question, setup.student.choice_reply), stage.answer_suffix)
        for example, question in zip(examples, questions, strict=True)
    ]
    keys = [cache.key(question) for cache, question in zip(features, questions, strict=True)]
    first = {key: number for number, key in enumerate(keys)}
    lengths = {key: len(student.prefix_of(features[n].features(questions[n])).tokens) for key, n in first.items()}
    sizes = SequenceSizes([lengths[key] for key in keys], [example.size for example in tokenized])
    _check_sizes(setup.distill.max_tokens_per_batch, stage.name, examples, sizes)
    plan = make_plan(
        keys,
        sizes,
        batch=stage.questions_per_step,
        group=setup.distill.questions_per_video,
        tokens=setup.distill.max_tokens_per_batch,
        epochs=stage.epochs,
        processes=processes(),
        seed=arm.seed,
    )
    plan = shorten(plan, sizes, max_steps=stage.max_steps, max_tokens=stage.max_tokens)
    return PlannedStage(stage, source, questions, tokenized, plan)


def _train_stage(
    setup: TrainingSetup,
    arm: Arm,
    planned: PlannedStage,
    data: TrainingData,
    student: VideoLLM,
    tracker: Tracker,
    show: ShowProgress,
) -> bool:
    """Train one stage and put its student in place; return whether it came to the end."""
    stage, questions, files = planned.stage, planned.questions, planned.stage.files(setup.run)
    caches = planned.caches(data.features(setup, student, arm.config.video))
    batches = PlannedBatches(
        student, planned.examples, lambda number: caches[number].features(questions[number]), planned.plan
    )
    if not train(student, batches, planned.plan, stage, setup.distill, arm.seed, files, tracker, show):
        return False
    if stage is arm.last and processes() == 1 and setup.tracking.tracker is not TrackerName.none:
        tracker.table("samples", _SAMPLE, _samples(setup, student, questions, caches))
    if is_first():
        _put_in_place(files.partial_student)
        shutil.rmtree(files.checkpoints, ignore_errors=True)
    if stage is not arm.last:
        wait_for_all()  # the next stage begins from this student in every process
    return True


def _put_in_place(partial_student: Path) -> None:
    """Name a student's folder `student` once all of it is on the disk: from then on its stage is finished."""
    sync_tree(partial_student)
    with disk_errors(partial_student):
        partial_student.rename(partial_student.with_name("student"))
        sync(partial_student.parent)


_SAMPLE = ("question", "true", "reply", "rationale", "frames")


def _samples(
    setup: TrainingSetup, student: VideoLLM, questions: Sequence[Question], caches: Sequence[FeatureCache]
) -> list[list[Cell]]:
    """A student's replies to some of the questions it was trained on, each about another video."""
    first = {cache.key(question): (question, cache) for cache, question in zip(caches, questions, strict=True)}
    rows: list[list[Cell]] = []
    for question, cache in list(first.values())[:SAMPLES]:
        features, choice_reply = cache.features(question), setup.student.choice_reply
        frames = cache.pixels(question)
        beside = np.concatenate(list(frames[:: max(1, len(frames) // 4)]), axis=1)
        reply = answer(student, question, features, choice_reply).text
        inputs = [PromptInput(prompt(question), wants_letter(question, choice_reply), features)]
        rationale = student.reply(inputs, Mode.rationale, setup.max_rationale_tokens)[0]
        rows.append([prompt(question), question.answer, reply, rationale, Picture(beside)])
    return rows


def _check_sizes(limit: int, name: str, examples: Sequence[Example], sizes: SequenceSizes) -> None:
    needs = {example.question_id: sizes.of((number,)) for number, example in enumerate(examples)}
    long = [key for key, size in needs.items() if size > limit]
    if long:
        longest = max(long, key=needs.__getitem__)
        raise UserError(
            f"distill.max_tokens_per_batch={limit} is too small for {len(long)} questions of arm {name}, among them "
            f"{longest} with {needs[longest]} tokens: set distill.max_tokens_per_batch={needs[longest]} or more"
        )


def new_student_of(setup: TrainingSetup, data: TrainingData, seed: int) -> VideoLLM:
    """Begin the student before it is distilled, the same for every arm."""
    return new_student(setup.student, setup.specialists.frames, data.texts(), seed)
