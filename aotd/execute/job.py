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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
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
from aotd.cache import load_cache
from aotd.config import Config
from aotd.errors import QuestionError, UserError
from aotd.example_programs import programs_digest, read_programs
from aotd.execute.attempts import Attempt, Mender, Result, first, following, settled
from aotd.execute.schedule import Schedule
from aotd.llm import Reply, load_engine
from aotd.meter import Meter, total
from aotd.prompts import digest
from aotd.records import Dropped, Program, Question, Trace
from aotd.sandbox.layers import Layer, missing, raised
from aotd.sandbox.process import Calls, Run, Sandbox, StoppedError
from aotd.specialists import load_specialists
from aotd.specialists.base import Specialists
from aotd.specialists.findings import Answer, Asking, Call, Findings
from aotd.store import Stage, Writer
from aotd.video.clip import Clip
from aotd.workers import worker_pool

PROGRAMS = 16
"""Programs at once in a process whose specialists have weights."""
AHEAD = 2
"""Videos that are handed out to each worker: the one it works on, and the next."""


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
                for result in track(execute(todo), "execute", total=len(todo), console=Console(stderr=True)):
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
    findings = Findings(specialists)
    return _run(first(question, program), findings.answer, findings, sandbox).record


def _run(attempt: Attempt, answer: Callable[[Call], Answer], findings: Findings, sandbox: Sandbox) -> Result:
    question, key = attempt.question, attempt.question.question_id
    asking = Asking(findings, answer)
    with Meter() as meter:
        try:
            video = findings.specialists.source.open(question)
            done: Run | QuestionError = sandbox.run(
                attempt.code, Clip.whole(video), question.question, question.options, asking.specialists()
            )
        except QuestionError as error:
            done = error
    meter.seconds = max(meter.seconds - asking.waited_s, 0.0) + asking.took_s
    calls = done.calls if isinstance(done, Run | StoppedError) else Calls()
    cost = meter.cost(key, tool_calls=calls.tools, specialist_calls=calls.specialists)
    cost = cost.model_copy(update={"batch": asking.shared, "reused": asking.reused})
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


Execute = Callable[[Iterable[Attempt]], Iterator[Result]]
"""Attempts -> their results, as they come."""


@contextmanager
def _executor(config: Config, specialists: Specialists, layers: frozenset[Layer], workers: int) -> Iterator[Execute]:
    """What runs programs: this process, or several where more than one worker is asked for."""
    if workers > 1:
        yield partial(_side_by_side, config, layers, workers)
        return
    with _Worker(config, specialists, layers) as worker:
        yield worker.run


class _Worker:
    """Specialists and a sandbox, and what runs programs with them in one process."""

    def __init__(self, config: Config, specialists: Specialists, layers: frozenset[Layer]) -> None:
        self._findings = Findings(specialists, load_cache(config.cache, config.run), config.specialists.unpinned())
        self._sandbox = Sandbox(config.execute.limits, layers)
        self._programs = config.execute.programs or (PROGRAMS if config.specialists.weighty() else 1)

    def run(self, attempts: Iterable[Attempt]) -> Iterator[Result]:
        """What comes of attempts, as it comes."""
        run = partial(_run, findings=self._findings, sandbox=self._sandbox)
        if self._programs > 1:
            return Schedule(run, self._findings, self._programs).results(attempts)
        return (run(attempt, self._findings.answer) for attempt in attempts)

    def __enter__(self) -> _Worker:
        self._sandbox.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._sandbox.close()


def _side_by_side(
    config: Config, layers: frozenset[Layer], workers: int, attempts: Iterable[Attempt]
) -> Iterator[Result]:
    """The videos shared out to processes. Where one dies, others are started and go on from there.

    Raises:
        UserError: one died again before anything had come of what was left.
    """
    coming = (list(group) for _, group in groupby(attempts, key=lambda attempt: attempt.question.video_id))
    left: list[list[Attempt]] = []
    """Videos that were handed out to a process that died."""
    died = False
    while True:
        running: dict[Future[list[Result]], list[Attempt]] = {}
        try:
            with worker_pool(workers, _start_worker, config, layers) as pool:
                while True:
                    while len(running) < AHEAD * workers and (video := left.pop() if left else next(coming, None)):
                        try:
                            running[pool.submit(_work, video)] = video
                        except (
                            ValueError,
                            OSError,
                        ) as error:  # one died while the next was started: its pipes are shut
                            left.append(video)
                            raise BrokenProcessPool from error
                    if not running:
                        return
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        results = done.result()
                        del running[done]
                        died = False
                        yield from results
        except BrokenProcessPool:
            if died:
                raise UserError(
                    "a worker of execute died twice, and nothing came of it (out of memory?): run the verb again to "
                    "go on, execute.workers=1 to see why"
                ) from None
            died = True
            left += running.values()


_worker: _Worker
"""A worker process's own specialists and sandbox; the warm process in it goes when the worker goes."""


def _start_worker(config: Config, layers: frozenset[Layer]) -> None:
    global _worker
    _worker = _Worker(config, load_specialists(config.specialists, config.dataset.root), layers)


def _work(attempts: list[Attempt]) -> list[Result]:
    return list(_worker.run(attempts))
