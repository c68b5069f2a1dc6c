"""execute: run each program in its sandbox against the specialists, and write what it saw.

Reads load/ and decompose/; writes one Trace per program that ended with an answer. A program that
failed, ran too long or asked too much, a specialist that crashed and a video that cannot be read each
have an outcome of their own.

Where decompose sampled several candidates, they are run in turn until one gives the true answer. With
execute.repairs=2 a program that failed goes back to the code LLM, twice at most, with the error and what
its tools had found. A Trace says how many programs it took.

Videos are shared out to `execute.workers` processes (`aotd.execute.worker`), and in each `execute.programs` run at
once, so that their calls go through a model together (`aotd.execute.schedule`). What was found out before, here or in
another run, is not asked again (`aotd.store.cache`). What is written depends on none of this.
"""

from __future__ import annotations

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

from aotd.agents.program.attempts import Attempt, Result, first
from aotd.agents.program.examples import programs_digest, read_programs
from aotd.agents.program.prompting import PROMPTS, examples_for, prompt, read_program
from aotd.agents.program.repair import Mender, mended
from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.execute.worker import Work, Worker, ended, run_together, start_worker
from aotd.llm.base import Reply
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import Program, Question, Record, Trace
from aotd.runtime.batches import batches, shown
from aotd.runtime.pools import cores, worker_pool
from aotd.sandbox.layers import Layer, missing, raised
from aotd.specialists.load import load_specialists
from aotd.specialists.protocols import Specialists
from aotd.store.cache import load_cache
from aotd.store.run import Run
from aotd.store.stage import Stage, StageEntry

BATCH = 256
"""With `execute.repairs`, questions whose programs are run until all of them are settled, before the next ones are
read. In any case the most of one video that are handed out together."""
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
    load_cache(config.cache, Run(Path(config.run)))  # in a worker it would be no line of ours
    layers = raised(config.execute.layers, config.execute.run_without_kernel_layers)
    questions, programs = Stage(run, "load", Question), Stage(run, "decompose", Program)
    stage = Stage(run, "execute", Trace)
    specialists = load_specialists(config.specialists, config.dataset.root)
    mender = _mender(config)
    with (
        stage.open(**_decides(config, specialists, mender)) as out,
        questions.beside(programs) as question_of,
    ):
        for layer in (layer for layer in Layer if layer not in layers):
            said = f"programs run without {layer.value}: {missing(layer)}"
            Console(stderr=True).print(said, markup=False, soft_wrap=True)
        attempts = (first(question_of(one.question_id), one) for one in programs.stream(without=out.done))
        count = programs.count() - len(out.done)
        work = Work(Run(run), config.dataset.root, config.execute, config.specialists, config.cache, layers)
        with _executor(work, specialists, _workers(config), count) as execute:
            for entry in shown("execute", _ends(attempts, execute, mender), count):
                out.add(entry)
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


def _ends(attempts: Iterable[Attempt], execute: Execute, mender: Mender | None) -> Iterator[StageEntry]:
    """What questions end in, as it comes."""
    if mender is None:
        for end in execute(attempts):
            assert isinstance(end, StageEntry), "nobody mends programs"
            yield end
        return
    for batch in batches(attempts, BATCH):
        yield from _ends_of_batch(batch, execute, mender)


def _ends_of_batch(todo: list[Attempt], execute: Execute, mender: Mender) -> Iterator[StageEntry]:
    """What some questions end in; programs are run until each has one that is taken, or no more."""
    place = {attempt.question.question_id: number for number, attempt in enumerate(todo)}
    while todo:
        back: list[Result] = []
        yield from _settled(execute(todo), back)
        # Results come as they are ready; what is asked of a model does not depend on which came first.
        back.sort(key=lambda result: place[result.attempt.question.question_id])
        todo = []
        while back:
            more, unusable = mended(back, mender)
            todo += more
            back = []
            yield from _settled((ended(result, mender.repairs) for result in unusable), back)


def _settled(ends: Iterable[StageEntry | Result], back: list[Result]) -> Iterator[StageEntry]:
    """What is settled; the other results go to `back`."""
    for end in ends:
        if isinstance(end, StageEntry):
            yield end
        else:
            back.append(end)


def _mender(config: Config) -> Mender | None:
    if not config.execute.repairs:
        return None
    engine = load_engine(
        config.llm, f"execute.repairs={config.execute.repairs}", load_cache(config.cache, Run(Path(config.run)))
    )
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
    return config.execute.workers or (1 if config.specialists.weighty() else cores())


Execute = Callable[[Iterable[Attempt]], Iterator[StageEntry | Result]]
"""Attempts -> what comes of them, as it comes: what the question ends in, or a result whose program goes back."""


@contextmanager
def _executor(work: Work, specialists: Specialists, workers: int, count: int) -> Iterator[Execute]:
    """What runs `count` programs: this process, or several where more than one worker is asked for."""
    if (processes := min(workers, count)) > 1:
        with _Workers(work, processes) as several:
            yield several.run
        return
    with Worker(work, specialists, count) as worker:
        yield worker.run


class _Workers:
    """Processes that share out videos. Where one dies, others are started and go on from there."""

    def __init__(self, work: Work, count: int) -> None:
        self._start = partial(worker_pool, count, start_worker, work)
        self._ahead = AHEAD * count
        self._opened = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def run(self, attempts: Iterable[Attempt]) -> Iterator[StageEntry | Result]:
        """What comes of attempts, as it comes; a video's attempts must stand together.

        Raises:
            UserError: a worker died again before anything had come of what was left.
        """
        videos = groupby(attempts, key=lambda attempt: attempt.question.video_id)
        coming = (part for _, group in videos for part in batches(group, BATCH))
        left: list[list[Attempt]] = []
        died = False
        while True:
            running: dict[Future[list[StageEntry | Result]], list[Attempt]] = {}
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

    def _submit(self, video: list[Attempt], left: list[list[Attempt]]) -> Future[list[StageEntry | Result]]:
        if self._pool is None:
            self._pool = self._opened.enter_context(self._start())
        try:
            return self._pool.submit(run_together, video)
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
