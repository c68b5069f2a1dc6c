"""Training one arm: what it is given, in the student's tokens, by a plan."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from aotd.config.tree import Config
from aotd.distill import trainings
from aotd.distill.batch import lay_out
from aotd.distill.plan import Sizes, make_plan
from aotd.distill.ranks import is_first, processes
from aotd.distill.train import Batches, train
from aotd.distill.training_data import Material
from aotd.errors import UserError
from aotd.prompts.student import prompt
from aotd.records import Example, Mode, Question
from aotd.store.files import disk_errors, sync, sync_tree
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.store.tensors import tensor_errors
from aotd.students.features import FeatureCache
from aotd.students.registry import new_student
from aotd.tracking import Cell, Picture, TrackerName, open_tracker
from aotd.video_llms.base import ANSWER_TOKENS, PromptInput, VideoLLM

SAMPLES = 8
"""Questions whose replies are shown to the tracker."""

Show = Callable[[int, int], None]
"""Called with the step an arm is at, and how many there are."""


def train_arm(config: Config, arm: str, material: Material, show: Show) -> None:
    """Train one arm from its newest checkpoint or from its seed; at the end its student is written.

    Args:
        material: what the run's seed has drawn, as for the arm's examples.
    """
    run = Path(config.run)
    folder = run / "distill" / arm
    partial_student = folder / "student.partial"
    kind, seed = trainings(config.distill, config.seed)[arm]
    config = replace(config, seed=seed)
    before = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(config.distill.threads)
    if is_first():
        shutil.rmtree(partial_student, ignore_errors=True)
    gc.collect()  # the arm before: its `Trainer` refers to itself, and would keep its student beside this one
    student = begin(config, material)
    if not kind.train:
        torch.set_num_threads(before)
        if is_first():
            with tensor_errors(partial_student):
                student.save(partial_student)
            _put_in_place(partial_student)
        return
    caches = material.views(config, student)
    examples = Stage(run, f"distill/{arm}", Example).records()
    asked = [material.questions[example.question_id] for example in examples]
    views = [caches[material.roots[example.question_id]] for example in examples]
    laid = [lay_out(student, one, bool(question.options)) for one, question in zip(examples, asked, strict=True)]
    keys = [cache.key(question) for cache, question in zip(views, asked, strict=True)]
    first = {key: number for number, key in enumerate(keys)}
    lengths = {key: len(student.video_prefix(views[n].features(asked[n])).tokens) for key, n in first.items()}
    sizes = Sizes([lengths[key] for key in keys], [one.size for one in laid])
    _check_sizes(config, arm, examples, sizes)
    settings = config.distill
    plan = make_plan(
        keys,
        sizes,
        batch=settings.questions_per_step,
        group=settings.questions_per_video,
        tokens=settings.max_tokens_per_batch,
        epochs=kind.epochs or settings.epochs,
        processes=processes(),
        seed=config.seed,
    )
    batches = Batches(student, laid, lambda number: views[number].features(asked[number]), plan)
    with open_tracker(config.tracking, Run(run), "distill", f"distill/{arm}") as tracker:
        finished = train(student, batches, plan, settings, config.seed, folder, partial_student, tracker, show)
        if finished and processes() == 1 and config.tracking.tracker is not TrackerName.none:
            tracker.table("samples", _SAMPLE, _samples(student, asked, views, config.evaluate.max_rationale_tokens))
    torch.set_num_threads(before)
    if finished and is_first():
        _put_in_place(partial_student)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _put_in_place(partial_student: Path) -> None:
    """Name a student's folder `student` once all of it is on the disk: from then on the arm is finished."""
    sync_tree(partial_student)
    with disk_errors(partial_student):
        partial_student.rename(partial_student.with_name("student"))
        sync(partial_student.parent)


_SAMPLE = ("question", "true", "reply", "rationale", "frames")


def _samples(
    student: VideoLLM, asked: Sequence[Question], views: Sequence[FeatureCache], longest: int
) -> list[list[Cell]]:
    """What a student says to some of the questions it was trained on, each about another video."""
    first = {cache.key(question): (question, cache) for cache, question in zip(views, asked, strict=True)}
    rows: list[list[Cell]] = []
    for question, cache in list(first.values())[:SAMPLES]:
        put = [PromptInput(prompt(question), bool(question.options), cache.features(question))]
        frames = cache.pixels(question)
        beside = np.concatenate(list(frames[:: max(1, len(frames) // 4)]), axis=1)
        reply = student.reply(put, Mode.answer, ANSWER_TOKENS)[0]
        rationale = student.reply(put, Mode.rationale, longest)[0]
        rows.append([prompt(question), question.answer, reply, rationale, Picture(beside)])
    return rows


def _check_sizes(config: Config, arm: str, examples: Sequence[Example], sizes: Sizes) -> None:
    needs = {one.question_id: sizes.of((number,)) for number, one in enumerate(examples)}
    long = [key for key, size in needs.items() if size > config.distill.max_tokens_per_batch]
    if long:
        longest = max(long, key=needs.__getitem__)
        raise UserError(
            f"distill.max_tokens_per_batch={config.distill.max_tokens_per_batch} is too small for {len(long)} "
            f"questions of arm {arm}, among them {longest} with {needs[longest]} tokens: "
            f"set distill.max_tokens_per_batch={needs[longest]} or more"
        )


def begin(config: Config, material: Material) -> VideoLLM:
    """The student before it is distilled, the same for every arm."""
    return new_student(config.student, config.specialists.frames, _texts(material), config.seed)


def _texts(material: Material) -> list[str]:
    """What a tokenizer is trained on: the same for every arm."""
    texts: list[str] = []
    for key, question in material.questions.items():
        thought = material.known.thoughts.get(key)
        texts += [question.question, *question.options, question.answer or "", thought.text if thought else ""]
    return texts
