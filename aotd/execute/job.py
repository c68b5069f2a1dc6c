"""execute: run each program in its sandbox against the specialists, and write what it saw.

Reads load/ and decompose/; writes one Trace per program that ended with an answer. A program that
failed, ran too long or asked too much, a specialist that crashed and a video that cannot be read each
have an outcome of their own.

Where decompose sampled several candidates, they are run in turn until one gives the true answer. With
execute.repairs=2 a program that failed goes back to the code LLM, twice at most, with the error and what
its tools had found. A Trace says how many programs it took.

Videos are shared out to `execute.workers` processes, and in each `execute.programs` run at once, so that their calls
go through a model together (`aotd.execute.schedule`). What was found out before, here or in another run, is not asked
again (`aotd.cache`). What is written depends on none of this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from aotd.authoring import PROMPTS, examples_for, prompt, read_program
from aotd.batches import batches, shown
from aotd.cache import load_cache
from aotd.config import Config
from aotd.errors import QuestionError, UserError
from aotd.example_programs import programs_digest, read_programs
from aotd.execute.attempts import Attempt, Mender, Result, first, following, settled
from aotd.execute.schedule import Schedule
from aotd.llm import Reply, load_engine
from aotd.meter import Meter, total
from aotd.prompts import digest
from aotd.records import Cost, Dropped, Program, Question, Record, Trace
from aotd.sandbox.layers import Layer, missing, raised
from aotd.sandbox.process import Calls, Run, Sandbox, StoppedError
from aotd.specialists import load_specialists
from aotd.specialists.base import Specialists
from aotd.specialists.findings import Answer, Asking, Call, Findings
from aotd.store import Stage
from aotd.video.clip import Clip
from aotd.workers import worker_pool

PROGRAMS = 16
"""Programs at once in a process whose specialists have weights."""
BATCH = 256
"""Questions whose programs are run until all of them are settled, before the next ones are read."""
AHEAD = 2
"""Videos that are handed out to each worker: the one it works on, and the next."""


def job(config: Config) -> None:
    """Write a Trace, or the outcome, of every program of the run.

    Raises:
        UserError: `decompose` has not run, a model is not there, or a layer of the sandbox that the run asks for.
    """
    run = Path(config.run)
    for name in ("workers", "programs"):
        if getattr(config.execute, name) < 0:
            raise UserError(f"execute.{name}={getattr(config.execute, name)} must be 0 or more")
    load_cache(config.cache, config.run)  # in a worker it would be no line of ours
    layers = raised(config.execute.layers, config.execute.run_without_kernel_layers)
    for layer in (layer for layer in Layer if layer not in layers):
        Console(stderr=True).print(f"programs run without {layer.value}: {missing(layer)}", markup=False)
    questions, programs = Stage(run, "load", Question), Stage(run, "decompose", Program)
    stage = Stage(run, "execute", Trace)
    specialists = load_specialists(config.specialists, config.dataset.root)
    mender = _mender(config)
    with (
        stage.open(**_decides(config, specialists, mender)) as out,
        questions.beside(programs) as question_of,
    ):
        attempts = (first(question_of(one.question_id), one) for one in programs.stream(without=out.done))
        count = programs.count() - len(out.done)
        with _executor(config, specialists, layers, min(_workers(config), count)) as execute:
            ends = (end for batch in batches(attempts, BATCH) for end in _ends(batch, execute, mender))
            for record, cost in shown("execute", ends, count):
                out.write(record, cost)
        out.sort(programs.ids())


def decides(config: Config) -> dict[str, Any]:
    """What decides the traces, as `Stage.open` takes it.

    Raises:
        UserError: as `job`.
    """
    return _decides(config, load_specialists(config.specialists, config.dataset.root), _mender(config))


def _decides(config: Config, specialists: Specialists, mender: Mender | None) -> dict[str, Any]:
    run = Path(config.run)
    return {
        "settings": {
            "limits": asdict(config.execute.limits),
            "frames": config.specialists.frames,
            "repairs": config.execute.repairs,
        },
        "inputs": {name: Stage(run, name, Record).manifest_digest() for name in ("load", "decompose")},
        "models": specialists.models() | ({"mender": mender.engine.model} if mender else {}),
        **_mended_with(config),
    }


def _ends(todo: list[Attempt], execute: Execute, mender: Mender | None) -> Iterator[tuple[Trace | Dropped, Cost]]:
    """What some questions end in, and what it took; programs are run until each has one that is taken, or no more."""
    place = {attempt.question.question_id: number for number, attempt in enumerate(todo)}
    while todo:
        failed: list[Result] = []
        yield from _settled(execute(todo), mender, failed)
        # Results come as they are ready; what is asked of a model does not depend on which came first.
        failed.sort(key=lambda result: place[result.attempt.question.question_id])
        todo = []
        while failed:
            more, unusable = following(failed, mender)
            todo += more
            failed = []
            yield from _settled(unusable, mender, failed)


def _settled(
    results: Iterable[Result], mender: Mender | None, failed: list[Result]
) -> Iterator[tuple[Trace | Dropped, Cost]]:
    """What is settled by some results; the other results go to `failed`."""
    for result in results:
        record = settled(result, mender)
        if record is None:
            failed.append(result)
        else:
            yield record, total(result.costs)


def _mender(config: Config) -> Mender | None:
    if not config.execute.repairs:
        return None
    engine = load_engine(config.llm, f"execute.repairs={config.execute.repairs}", load_cache(config.cache, config.run))
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
        with _Workers(config, layers, workers) as several:
            yield several.run
        return
    with _Worker(config, specialists, layers) as worker:
        yield worker.run


class _Worker:
    """Specialists and a sandbox, and what runs programs with them in one process."""

    def __init__(self, config: Config, specialists: Specialists, layers: frozenset[Layer]) -> None:
        self._findings = Findings(specialists, load_cache(config.cache, config.run), config.specialists.unpinned())
        self._sandbox = Sandbox(config.execute.limits, layers)
        self._lanes = config.specialists.lanes()
        self._programs = config.execute.programs or (PROGRAMS if config.specialists.weighty() else 1)

    def run(self, attempts: Iterable[Attempt]) -> Iterator[Result]:
        """What comes of attempts, as it comes."""
        run = partial(_run, findings=self._findings, sandbox=self._sandbox)
        if self._programs > 1:
            return Schedule(run, self._findings, self._programs, self._lanes).results(attempts)
        return (run(attempt, self._findings.answer) for attempt in attempts)

    def __enter__(self) -> _Worker:
        self._sandbox.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sandbox.close()


class _Workers:
    """Processes that share out videos. Where one dies, others are started and go on from there."""

    def __init__(self, config: Config, layers: frozenset[Layer], count: int) -> None:
        self._start = partial(worker_pool, count, _start_worker, config, layers)
        self._ahead = AHEAD * count
        self._opened = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def run(self, attempts: Iterable[Attempt]) -> Iterator[Result]:
        """What comes of attempts, as it comes; a video's attempts must stand together.

        Raises:
            UserError: a worker died again before anything had come of what was left.
        """
        coming = (list(group) for _, group in groupby(attempts, key=lambda attempt: attempt.question.video_id))
        left: list[list[Attempt]] = []
        died = False
        while True:
            running: dict[Future[list[Result]], list[Attempt]] = {}
            try:
                while True:
                    while len(running) < self._ahead and (video := left.pop() if left else next(coming, None)):
                        running[self._submit(video, left)] = video
                    if not running:
                        return
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        results = done.result()
                        del running[done]
                        died = False
                        yield from results
            except BrokenProcessPool as error:
                self._lose(error)
                if died:
                    raise UserError(
                        "a worker of execute died twice, and nothing came of it (out of memory?): run the verb again "
                        "to go on, execute.workers=1 to see why"
                    ) from None
                died = True
                left += running.values()

    def _submit(self, video: list[Attempt], left: list[list[Attempt]]) -> Future[list[Result]]:
        if self._pool is None:
            self._pool = self._opened.enter_context(self._start())
        try:
            return self._pool.submit(_work, video)
        except (ValueError, OSError, BrokenProcessPool) as error:
            left.append(video)  # one died while the next was started: its pipes are shut
            raise BrokenProcessPool from error

    def _lose(self, error: BrokenProcessPool) -> None:
        with suppress(BrokenProcessPool):
            self._opened.__exit__(type(error), error, error.__traceback__)
        self._pool = None

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.__exit__(kind, error, at)


_worker: _Worker
"""A worker process's own specialists and sandbox; the warm process in it goes when the worker goes."""


def _start_worker(config: Config, layers: frozenset[Layer]) -> None:
    global _worker
    _worker = _Worker(config, load_specialists(config.specialists, config.dataset.root), layers)


def _work(attempts: list[Attempt]) -> list[Result]:
    return list(_worker.run(attempts))
