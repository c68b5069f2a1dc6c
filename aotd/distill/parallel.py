"""Training the arms of a run, side by side where there is no GPU.

A model this small gains little from a second core, and two arms gain a whole one. So on a CPU each arm
is trained on `distill.threads` threads, in a process of its own; how many run at once changes nothing in
the students.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.queues import SimpleQueue
from time import sleep

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aotd.distill.arms import Arm, TrainingSetup, arms_of
from aotd.distill.ranks import is_first, leave_group, processes
from aotd.distill.train_arm import train_arm
from aotd.distill.training_data import TrainingData, read_training_data
from aotd.errors import UserError
from aotd.runtime.pools import cores, spawning, worker_pool
from aotd.runtime.progress import bars_are_shown, console
from aotd.runtime.signals import Stopped, check, listening, patience, stopping
from aotd.tracking import take_key


def train_arms(setup: TrainingSetup, arms: Sequence[Arm], data: TrainingData) -> None:
    """Train arms whose examples are written, and leave a student in each one's folder.

    Raises:
        UserError: a batch cannot hold some question, or a worker process died.
        Stopped: a signal has come; a checkpoint holds what was done.
    """
    columns = (TextColumn("distill {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    alone = torch.cuda.is_available() or processes() > 1
    at_once = 1 if alone else min(setup.distill.workers or 2 * cores(), len(arms))
    with Progress(*columns, console=console, disable=not (is_first() and bars_are_shown())) as bars, listening():
        tasks = {arm.name: bars.add_task(arm.name, total=None) for arm in arms}

        def show(arm: str, step: int, steps: int) -> None:
            bars.update(tasks[arm], completed=step, total=steps)

        if at_once == 1:
            for arm in arms:
                train_arm(setup, arm, data, partial(show, arm.name))
                if stopping():
                    break
        else:
            _side_by_side(setup, [arm.name for arm in arms], at_once, show)
        leave_group()
        check()


def _side_by_side(
    setup: TrainingSetup, arms: Sequence[str], workers: int, show: Callable[[str, int, int], None]
) -> None:
    steps: SimpleQueue[tuple[str, int, int]] = spawning().SimpleQueue()
    passed_on = False
    try:
        with worker_pool(workers, _start_worker, setup, steps, take_key()) as pool, patience():
            running = [pool.submit(_work, arm) for arm in arms]
            while not all(done.done() for done in running):
                while not steps.empty():
                    show(*steps.get())
                if any(_failure(done) for done in running):
                    break
                if stopping() and not passed_on:
                    passed_on = True
                    for waiting in running:
                        waiting.cancel()
                    for child in multiprocessing.active_children():
                        os.kill(child.pid or 0, signal.SIGTERM)
                sleep(0.2)
            for done in running:
                if (error := _failure(done)) is not None:
                    raise error
            check()
    except BrokenProcessPool:
        check()
        raise UserError("a worker of distill died; run the verb again to go on, distill.workers=1 to see why") from None


def _failure(running: Future[None]) -> BaseException | None:
    """What an arm has failed of until now; to be told to stop is no failure."""
    if not running.done() or running.cancelled():
        return None
    error = running.exception()
    return None if isinstance(error, Stopped) else error


_worker: tuple[TrainingSetup, SimpleQueue[tuple[str, int, int]]]
"""What a worker process trains with, and the queue that it reports its steps to."""


def _start_worker(setup: TrainingSetup, steps: SimpleQueue[tuple[str, int, int]], key: str | None) -> None:
    global _worker
    _worker = setup, steps
    take_key(key)  # an arm has a tracker of its own


def _work(arm: str) -> None:
    setup, steps = _worker
    arms = arms_of(setup.distill, setup.student.lora_rank, setup.seed)
    with listening():
        data = read_training_data(setup, arms.values())
        train_arm(setup, arms[arm], data, lambda step, of: steps.put((arm, step, of)))
