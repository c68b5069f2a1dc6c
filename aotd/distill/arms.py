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
from functools import partial
from multiprocessing.connection import wait as wait_for
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from time import sleep

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aotd.config import Config
from aotd.errors import UserError
from aotd.records import Example, Question, Thought
from aotd.store import Stage
from aotd.students.frames import run_frames
from aotd.tracking import open_tracker

Told = Callable[[int, int], None]
"""Called with the step an arm is at, and how many there are."""


def train_arms(config: Config, arms: Sequence[str]) -> None:
    """Train arms whose examples are written, and leave a student in each one's folder.

    Raises:
        UserError: a worker process died.
    """
    import torch

    columns = (TextColumn("distill {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    at_once = 1 if torch.cuda.is_available() else config.distill.workers or os.cpu_count() or 1
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {arm: bars.add_task(arm, total=None) for arm in arms}

        def show(arm: str, step: int, steps: int) -> None:
            bars.update(tasks[arm], completed=step, total=steps)

        if min(at_once, len(arms)) == 1:
            for arm in arms:
                train_arm(config, arm, partial(show, arm))
        else:
            _side_by_side(config, arms, min(at_once, len(arms)), show)


def train_arm(config: Config, arm: str, told: Told) -> None:
    """Train one arm from its seed. What a killed attempt has left is thrown away."""
    import torch

    from aotd.distill.batch import lay_out
    from aotd.distill.train import train
    from aotd.students.student import new_student

    run = Path(config.run)
    folder = run / "distill" / arm
    partial_student = folder / "student.partial"
    shutil.rmtree(partial_student, ignore_errors=True)
    questions = {question.question_id: question for question in Stage(run, "load", Question).records()}
    before = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(config.distill.threads)
    student = new_student(config.student, config.specialists.frames, _texts(config, questions), config.seed)
    cache = run_frames(config, student.sight)
    rows = []
    for example in Stage(run, f"distill/{arm}", Example).records():
        question = questions[example.question_id]
        rows.append((lay_out(student.tokenizer, example, bool(question.options)), cache.frames(question)))
    tracker = open_tracker(config.tracking, config.run, f"distill/{arm}")
    train(student, rows, config.distill, config.seed, arm, folder / "losses.jsonl", tracker, told)
    tracker.finish()
    torch.set_num_threads(before)
    student.save(partial_student)
    partial_student.rename(folder / "student")


def _texts(config: Config, questions: dict[str, Question]) -> list[str]:
    """What the tokenizer is trained on: the same for every arm."""
    written: dict[str, str] = {}
    if any(arm.rationales for arm in config.distill.arms.values()):
        thoughts = Stage(Path(config.run), "convert", Thought).records()
        written = {thought.question_id: thought.text for thought in thoughts}
    texts: list[str] = []
    for question in questions.values():
        if question.split == config.distill.split:
            texts += [
                question.question,
                *question.options,
                question.answer or "",
                written.get(question.question_id, ""),
            ]
    return texts


def _side_by_side(config: Config, arms: Sequence[str], workers: int, show: Callable[[str, int, int], None]) -> None:
    context = multiprocessing.get_context("spawn")
    steps: SimpleQueue[tuple[str, int, int]] = context.SimpleQueue()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(config, steps))
    try:
        running = [pool.submit(_work, arm) for arm in arms]
        while not all(done.done() for done in running):
            while not steps.empty():
                show(*steps.get())
            if any(done.done() and done.exception() for done in running):
                break
            sleep(0.2)
        for done in running:
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
    train_arm(config, arm, lambda step, of: steps.put((arm, step, of)))
