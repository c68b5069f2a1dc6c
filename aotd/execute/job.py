"""execute: run each program in its sandbox against the specialists, and write what it saw.

Reads load/ and decompose/; writes one Trace per program that ended with an answer. A program that
failed, ran too long or asked too much, a specialist that crashed and a video that cannot be read each
have an outcome of their own.

Videos are shared out to `execute.workers` processes; records are written in the order of the questions,
whatever the workers do.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from multiprocessing.connection import wait
from pathlib import Path

from rich.console import Console
from rich.progress import track

from aotd.config import Config
from aotd.errors import QuestionError, UserError
from aotd.records import Dropped, Program, Question, Trace
from aotd.sandbox.process import Limits, run_program
from aotd.specialists import load_specialists
from aotd.specialists.base import Specialists
from aotd.store import Stage
from aotd.video.clip import Clip

Task = tuple[Question, Program]


def job(config: Config) -> None:
    """Write a Trace, or the outcome, of every program of the run.

    Raises:
        UserError: `decompose` has not run, or a specialist's model is not there.
    """
    run = Path(config.run)
    questions, programs = Stage(run, "load", Question), Stage(run, "decompose", Program)
    stage = Stage(run, "execute", Trace)
    specialists = load_specialists(config.specialists, config.dataset.root)
    by_id = {question.question_id: question for question in questions.records()}
    tasks = [(by_id[program.question_id], program) for program in programs.records()]
    settings = {"limits": asdict(config.execute.limits), "frames": config.specialists.frames}
    inputs = {"load": questions.manifest_digest(), "decompose": programs.manifest_digest()}
    with stage.open(settings, inputs=inputs, models=specialists.models()) as out:
        todo = [task for task in tasks if task[1].question_id not in out.done]
        videos = [list(group) for _, group in groupby(todo, key=lambda task: task[0].video_id)]
        workers = min(_workers(config), len(videos))
        with _executed(videos, config, specialists, workers) as results:
            for records in track(results, "execute", total=len(videos), console=Console(stderr=True)):
                for record in records:
                    out.write(record)


def _workers(config: Config) -> int:
    """As many processes as are asked for; by default one per core, and a single one where models have weights."""
    return config.execute.workers or (1 if config.specialists.weighty() else os.cpu_count() or 1)


def trace_question(question: Question, program: Program, specialists: Specialists, limits: Limits) -> Trace | Dropped:
    """Run one program on its question's video: the trace, or the outcome it ended in."""
    try:
        video = specialists.source.open(question)
        done = run_program(program.code, Clip.whole(video), question.question, question.options, specialists, limits)
    except QuestionError as error:
        return Dropped(question_id=question.question_id, outcome=error.outcome, reason=error.reason)
    return Trace(
        question_id=question.question_id,
        frames=video.frames,
        start_s=video.start_s,
        end_s=video.end_s,
        width=video.width,
        height=video.height,
        events=done.events,
        answer=done.answer,
    )


@contextmanager
def _executed(
    videos: list[list[Task]], config: Config, specialists: Specialists, workers: int
) -> Iterator[Iterator[list[Trace | Dropped]]]:
    """The records of each video's questions, in order; in this process when one worker is enough."""
    limits = config.execute.limits
    if workers <= 1:
        yield ([trace_question(q, p, specialists, limits) for q, p in tasks] for tasks in videos)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(config,)
    )
    try:
        yield pool.map(_work, videos)
    except BrokenProcessPool:
        raise UserError("a worker of execute died; run the verb again to go on, execute.workers=1 to see why") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: tuple[Specialists, Limits]
"""A worker process's own specialists and limits."""


def _start_worker(config: Config) -> None:
    global _worker
    _worker = load_specialists(config.specialists, config.dataset.root), config.execute.limits
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # A parent that is killed outright cannot stop its workers; they notice and go by themselves.
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _work(tasks: list[Task]) -> list[Trace | Dropped]:
    specialists, limits = _worker
    return [trace_question(question, program, specialists, limits) for question, program in tasks]
