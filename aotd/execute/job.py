"""execute: run each program in its sandbox against the specialists, and write what it saw.

Reads load/ and decompose/; writes one Trace per program that ended with an answer. A program that
failed, ran too long or asked too much, a specialist that crashed and a video that cannot be read each
have an outcome of their own.

Where decompose sampled several candidates, they are run in turn until one gives the true answer. With
execute.repairs=2 a program that failed goes back to the code LLM, twice at most, with the error and what
its tools had found. A Trace says how many programs it took.

Videos are shared out to `execute.workers` processes; what is written does not depend on how many.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from aotd.authoring import PROMPTS, examples_for, prompt, read_program
from aotd.config import Config
from aotd.errors import QuestionError, UserError
from aotd.example_programs import programs_digest, read_programs
from aotd.execute.attempts import Attempt, Mender, Result, first, following, settled
from aotd.llm import Reply, load_engine
from aotd.meter import Meter, total
from aotd.prompts import digest
from aotd.records import Dropped, Program, Question, Trace
from aotd.sandbox.layers import Layer, missing, raised
from aotd.sandbox.process import Calls, Run, Sandbox, StoppedError
from aotd.specialists import load_specialists
from aotd.specialists.base import Specialists
from aotd.store import Stage, Writer
from aotd.video.clip import Clip
from aotd.workers import worker_pool


def job(config: Config) -> None:
    """Write a Trace, or the outcome, of every program of the run.

    Raises:
        UserError: `decompose` has not run, a model is not there, or a layer of the sandbox that the run asks for.
    """
    run = Path(config.run)
    layers = raised(config.execute.layers, config.execute.run_without_kernel_layers)
    for layer in (layer for layer in Layer if layer not in layers):
        Console(stderr=True).print(f"programs run without {layer.value}: {missing(layer)}", markup=False)
    questions, programs = Stage(run, "load", Question), Stage(run, "decompose", Program)
    stage = Stage(run, "execute", Trace)
    specialists = load_specialists(config.specialists, config.dataset.root)
    by_id = {question.question_id: question for question in questions.records()}
    attempts = [first(by_id[program.question_id], program) for program in programs.records()]
    settings: dict[str, Any] = {
        "limits": asdict(config.execute.limits),
        "frames": config.specialists.frames,
        "repairs": config.execute.repairs,
    }
    inputs = {"load": questions.manifest_digest(), "decompose": programs.manifest_digest()}
    mender = _mender(config)
    models = specialists.models() | ({"mender": mender.engine.model} if mender else {})
    place = {attempt.question.question_id: number for number, attempt in enumerate(attempts)}
    with stage.open(settings, inputs=inputs, models=models, **_mended_with(config)) as out:
        todo = [attempt for attempt in attempts if attempt.question.question_id not in out.done]
        workers = min(_workers(config), len({attempt.question.video_id for attempt in todo}))
        with _executor(config, specialists, layers, workers) as execute:
            while todo:
                failed: list[Result] = []
                videos = [list(group) for _, group in groupby(todo, key=lambda attempt: attempt.question.video_id)]
                for result in track(execute(videos), "execute", total=len(todo), console=Console(stderr=True)):
                    _write([result], mender, out, failed)
                # Results come as they are ready; what is asked of a model does not depend on which came first.
                failed.sort(key=lambda result: place[result.attempt.question.question_id])
                todo = []
                while failed:
                    more, unusable = following(failed, mender)
                    todo += more
                    failed = []
                    _write(unusable, mender, out, failed)
        out.sort(attempt.question.question_id for attempt in attempts)


def _write(results: Sequence[Result], mender: Mender | None, out: Writer[Trace], failed: list[Result]) -> None:
    """Write what is settled, and keep the rest in `failed`."""
    for result in results:
        record = settled(result, mender)
        if record is None:
            failed.append(result)
        else:
            out.write(record, total(result.costs))


def _mender(config: Config) -> Mender | None:
    if not config.execute.repairs:
        return None
    engine = load_engine(config.llm, f"execute.repairs={config.execute.repairs}")
    programs, settings = read_programs(config.decompose.programs), config.decompose

    def asked(question: Question) -> str:
        return prompt(question, examples_for(question, programs, settings), settings.without)

    def read(reply: Reply) -> tuple[str, str | None]:
        return read_program(reply, settings)

    return Mender(engine, asked, read, settings.max_tokens, config.execute.repairs)


def _mended_with(config: Config) -> dict[str, dict[str, str]]:
    """What decides how programs are mended, for the manifest."""
    if not config.execute.repairs:
        return {}
    examples = programs_digest(read_programs(config.decompose.programs))
    return {"prompts": {name: digest(name) for name in PROMPTS}, "programs": {"examples": examples}}


def _workers(config: Config) -> int:
    """As many processes as are asked for; by default one per core, and a single one where models have weights."""
    return config.execute.workers or (1 if config.specialists.weighty() else os.cpu_count() or 1)


def trace_question(question: Question, program: Program, specialists: Specialists, sandbox: Sandbox) -> Trace | Dropped:
    """Run one program on its question's video: the trace, or the outcome it ended in."""
    return _run(first(question, program), specialists, sandbox).record


def _run(attempt: Attempt, specialists: Specialists, sandbox: Sandbox) -> Result:
    question, key = attempt.question, attempt.question.question_id
    with Meter() as meter:
        try:
            video = specialists.source.open(question)
            done: Run | QuestionError = sandbox.run(
                attempt.code, Clip.whole(video), question.question, question.options, specialists
            )
        except QuestionError as error:
            done = error
    calls = done.calls if isinstance(done, Run | StoppedError) else Calls()
    cost = meter.cost(key, tool_calls=calls.tools, specialist_calls=calls.specialists)
    costs = (*attempt.costs, cost)
    if isinstance(done, QuestionError):
        dropped = Dropped(question_id=key, outcome=done.outcome, reason=done.reason)
        return Result(attempt, dropped, done.events if isinstance(done, StoppedError) else (), costs)
    record = Trace(
        question_id=key,
        frames=video.frames,
        start_s=video.start_s,
        end_s=video.end_s,
        width=video.width,
        height=video.height,
        events=done.events,
        answer=done.answer,
        tries=attempt.tries,
        code=None if attempt.code == attempt.program.code else attempt.code,
    )
    return Result(attempt, record, done.events, costs)


Execute = Callable[[list[list[Attempt]]], Iterator[Result]]
"""The attempts of each video -> their results, as they come."""


@contextmanager
def _executor(config: Config, specialists: Specialists, layers: frozenset[Layer], workers: int) -> Iterator[Execute]:
    """What runs programs; in this process when one worker is enough."""
    if workers <= 1:
        with Sandbox(config.execute.limits, layers) as sandbox:
            yield lambda videos: (_run(attempt, specialists, sandbox) for attempts in videos for attempt in attempts)
        return
    yield partial(_side_by_side, config, layers, workers)


def _side_by_side(
    config: Config, layers: frozenset[Layer], workers: int, videos: list[list[Attempt]]
) -> Iterator[Result]:
    """The videos shared out to processes. Where one dies, others are started and go on from there.

    Raises:
        UserError: one died again before anything had come of what was left.
    """
    died_with = len(videos) + 1
    while videos:
        try:
            with worker_pool(workers, _start_worker, config, layers) as pool:
                try:
                    running = {pool.submit(_work, attempts): attempts for attempts in videos}
                except (ValueError, OSError) as error:  # one died while the next was being started: its pipes are shut
                    raise BrokenProcessPool from error
                for done in as_completed(running):
                    results = done.result()
                    videos.remove(running[done])
                    yield from results
        except BrokenProcessPool:
            if len(videos) == died_with:
                raise UserError(
                    "a worker of execute died twice, and nothing came of it (out of memory?): run the verb again to "
                    "go on, execute.workers=1 to see why"
                ) from None
            died_with = len(videos)


_worker: tuple[Specialists, Sandbox]
"""A worker process's own specialists and sandbox; the warm process in it goes when the worker goes."""


def _start_worker(config: Config, layers: frozenset[Layer]) -> None:
    global _worker
    _worker = load_specialists(config.specialists, config.dataset.root), Sandbox(config.execute.limits, layers)


def _work(attempts: list[Attempt]) -> list[Result]:
    specialists, sandbox = _worker
    return [_run(attempt, specialists, sandbox) for attempt in attempts]
