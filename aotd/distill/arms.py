"""Training the arms of a run, side by side where there is no GPU.

A model this small gains little from a second core, and two arms gain a whole one. So on a CPU each arm
is trained on `distill.threads` threads, in a process of its own; how many run at once changes nothing in
the students.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait as wait_for
from multiprocessing.queues import SimpleQueue
from time import sleep

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aotd.config import Config
from aotd.distill.arm import train_arm
from aotd.distill.checkpoint import Told, listening
from aotd.distill.processes import is_first, part, processes
from aotd.errors import UserError


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
