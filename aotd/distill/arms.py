"""Training the arms of a run, side by side where there is no GPU.

A model this small gains little from a second core, and two arms gain a whole one. So on a CPU each arm
is trained on `distill.threads` threads, in a process of its own; how many run at once changes nothing in
the students.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait as wait_for
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from time import sleep

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aotd.config import Config
from aotd.distill import trainings
from aotd.distill.batch import lay_out
from aotd.distill.checkpoint import Told, listening
from aotd.distill.material import Material, gather
from aotd.distill.plan import Sizes, make_plan
from aotd.distill.processes import is_first, part, processes
from aotd.distill.train import Batches, train
from aotd.errors import UserError
from aotd.records import Example, Mode, Question
from aotd.store import Stage
from aotd.students.base import ANSWER_TOKENS, Asked, Student
from aotd.students.frames import ViewCache
from aotd.students.prompts import prompt
from aotd.students.student import new_student
from aotd.tracking import Sample, TrackerName, TrackingConfig, open_tracker

SAMPLES = 8
"""Questions whose replies are shown to the tracker."""

Show = Callable[[int, int], None]
"""Called with the step an arm is at, and how many there are."""


def train_arms(config: Config, arms: Sequence[str]) -> None:
    """Train arms whose examples are written, and leave a student in each one's folder.

    Raises:
        UserError: a batch cannot hold some question, or a worker process died.
        SystemExit: it was told to leave (SIGTERM or SIGUSR1); a checkpoint holds what was done.
    """
    columns = (TextColumn("distill {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    alone = torch.cuda.is_available() or processes() > 1
    at_once = 1 if alone else min(config.distill.workers or 2 * (os.cpu_count() or 1), len(arms))
    with Progress(*columns, console=Console(stderr=True), disable=not is_first()) as bars, listening() as told:
        tasks = {arm: bars.add_task(arm, total=None) for arm in arms}

        def show(arm: str, step: int, steps: int) -> None:
            bars.update(tasks[arm], completed=step, total=steps)

        if at_once == 1:
            for arm in arms:
                if not told.to_leave:
                    train_arm(config, arm, partial(show, arm), told)
        else:
            _side_by_side(config, arms, at_once, show, told)
    part()
    if told.signal is not None:
        Console(stderr=True).print("distill was told to leave; the same command goes on from here")
        raise SystemExit(128 + told.signal)


def train_arm(config: Config, arm: str, show: Show, told: Told) -> None:
    """Train one arm from its newest checkpoint or from its seed; at the end its student is written."""
    run = Path(config.run)
    folder = run / "distill" / arm
    partial_student = folder / "student.partial"
    kind, seed = trainings(config.distill, config.seed)[arm]
    config = replace(config, seed=seed)
    material = gather(config)
    before = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(config.distill.threads)
    student = begin(config, material)
    if not kind.train:
        if is_first():
            student.save(partial_student)
            partial_student.rename(folder / "student")
        return
    caches = material.views(config, student)
    examples = Stage(run, f"distill/{arm}", Example).records()
    asked = [material.questions[example.question_id] for example in examples]
    views = [caches[material.roots[example.question_id]] for example in examples]
    laid = [lay_out(student, one, bool(question.options)) for one, question in zip(examples, asked, strict=True)]
    keys = [cache.key(question) for cache, question in zip(views, asked, strict=True)]
    first = {key: number for number, key in enumerate(keys)}
    lengths = {key: len(student.opening(views[n].view(asked[n])).tokens) for key, n in first.items()}
    sizes = Sizes([lengths[key] for key in keys], [one.size for one in laid])
    _check_sizes(config, arm, examples, sizes)
    settings = config.distill
    plan = make_plan(
        keys,
        sizes,
        batch=settings.batch,
        group=settings.group,
        tokens=settings.tokens,
        epochs=kind.epochs or settings.epochs,
        processes=processes(),
        seed=config.seed,
    )
    batches = Batches(student, laid, lambda number: views[number].view(asked[number]), plan)
    tracker = open_tracker(config.tracking if is_first() else TrackingConfig(), config.run, f"distill/{arm}")
    if is_first():
        shutil.rmtree(partial_student, ignore_errors=True)
    finished = train(student, batches, plan, settings, config.seed, folder, partial_student, tracker, show, told)
    if finished and processes() == 1 and config.tracking.tracker is not TrackerName.none:
        tracker.samples(_samples(student, asked, views))
    tracker.finish()
    torch.set_num_threads(before)
    if finished and is_first():
        partial_student.rename(folder / "student")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _samples(student: Student, asked: Sequence[Question], views: Sequence[ViewCache]) -> list[Sample]:
    """What a student says to some of the questions it was trained on, each about another video."""
    first = {cache.key(question): (question, cache) for cache, question in zip(views, asked, strict=True)}
    samples = []
    for question, cache in list(first.values())[:SAMPLES]:
        put = [Asked(prompt(question), bool(question.options), cache.view(question))]
        frames = cache.pixels(question)
        samples.append(
            Sample(
                frames=frames[:: max(1, len(frames) // 4)],
                question=prompt(question),
                answer=question.answer or "",
                reply=student.reply(put, Mode.answer, ANSWER_TOKENS)[0],
                rationale=student.reply(put, Mode.rationale, 256)[0],
            )
        )
    return samples


def _check_sizes(config: Config, arm: str, examples: Sequence[Example], sizes: Sizes) -> None:
    needs = {one.question_id: sizes.of((number,)) for number, one in enumerate(examples)}
    long = [key for key, size in needs.items() if size > config.distill.tokens]
    if long:
        longest = max(long, key=needs.__getitem__)
        raise UserError(
            f"distill.tokens={config.distill.tokens} is too small for {len(long)} questions of arm {arm}, among them "
            f"{longest} with {needs[longest]} tokens: set distill.tokens={needs[longest]} or more"
        )


def begin(config: Config, material: Material) -> Student:
    """The student before it is distilled, the same for every arm."""
    return new_student(config.student, config.specialists.frames, _texts(material), config.seed)


def _texts(material: Material) -> list[str]:
    """What a tokenizer is trained on: the same for every arm."""
    texts: list[str] = []
    for key, question in material.questions.items():
        thought = material.known.thoughts.get(key)
        texts += [question.question, *question.options, question.answer or "", thought.text if thought else ""]
    return texts


def _side_by_side(
    config: Config, arms: Sequence[str], workers: int, show: Callable[[str, int, int], None], told: Told
) -> None:
    context = multiprocessing.get_context("spawn")
    steps: SimpleQueue[tuple[str, int, int]] = context.SimpleQueue()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(config, steps))
    passed_on = False
    try:
        running = [pool.submit(_work, arm) for arm in arms]
        while not all(done.done() for done in running):
            while not steps.empty():
                show(*steps.get())
            if any(done.done() and not done.cancelled() and done.exception() for done in running):
                break
            if told.signal is not None and not passed_on:
                passed_on = True
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    os.kill(child.pid or 0, told.signal)
            sleep(0.2)
        for done in running:
            if not done.cancelled():
                done.result()
    except BrokenProcessPool:
        raise UserError("a worker of distill died; run the verb again to go on, distill.workers=1 to see why") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: tuple[Config, SimpleQueue[tuple[str, int, int]]]
"""A worker process's settings, and where it tells its steps."""


def _start_worker(config: Config, steps: SimpleQueue[tuple[str, int, int]]) -> None:
    global _worker
    _worker = config, steps
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    # A parent that is killed outright cannot stop its workers; they notice and go by themselves.
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _work(arm: str) -> None:
    config, steps = _worker
    with listening() as told:
        train_arm(config, arm, lambda step, of: steps.put((arm, step, of)), told)
