"""execute: run each program in its sandbox against the specialists, and write what it saw.

Reads load/ and decompose/; writes one Trace per program that ended with an answer. A program that failed, ran too long
or asked too much, a specialist that crashed and a video that cannot be read each have an outcome of their own.

Where decompose sampled several candidates, they are run in turn until one gives the true answer. With
execute.repairs=2 a program that failed goes back to the code LLM, twice at most, with the error and what its tools had
found. A Trace says how many programs it took.

`execute.workers` processes share the videos (`aotd.execute.worker`). In each, `execute.concurrency` programs run at
once, so that their calls go through a model together (`aotd.execute.schedule`). What was found out before, here or in
another run, is not asked again (`aotd.store.cache`). What is written depends on none of this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from itertools import groupby
from types import TracebackType
from typing import Any, Generic

from aotd.agents.base import Assignment, T, Turn
from aotd.agents.program.agent import ProgramAgent
from aotd.agents.program.assignment import program_assignment
from aotd.agents.program.prompting import PromptSettings
from aotd.datasets.base import DatasetConfig
from aotd.errors import UserError
from aotd.execute import ExecuteConfig
from aotd.execute.parts import PastTheEnd
from aotd.execute.worker import Work, Worker, run_together, start_worker
from aotd.llm import LLMConfig
from aotd.runtime.batches import batches
from aotd.runtime.meter import total
from aotd.runtime.pools import cores, worker_pool
from aotd.runtime.progress import progress
from aotd.sandbox.layers import Layer, missing, raised
from aotd.specialists import SpecialistsConfig
from aotd.specialists.load import load_specialists
from aotd.specialists.protocols import Specialists
from aotd.store.cache import CacheConfig, load_cache
from aotd.store.run import Run
from aotd.store.stage import StageEntry
from aotd.tools.toolbox import Toolbox
from aotd.tools.video import VIDEO_TOOLS

_log = logging.getLogger(__name__)

BATCH = 256
"""With `execute.repairs`, questions that are worked on until all of them are settled, before the next ones are read. In
any case the most of one video that are handed out together."""
AHEAD = 2
"""Videos that are handed out to each worker: the one it works on, and the next."""


def job(
    run: Run,
    *,
    execute: ExecuteConfig,
    dataset: DatasetConfig,
    specialists: SpecialistsConfig,
    decompose: PromptSettings,
    llm: LLMConfig,
    cache: CacheConfig,
    toolbox: Toolbox = VIDEO_TOOLS,
) -> None:
    """Write a Trace, or the outcome, of every program of the run.

    Args:
        toolbox: the tools that programs may call.

    Raises:
        UserError: `decompose` has not run, a model is not there, or a layer of the sandbox that the run asks for.
    """
    for name in ("workers", "concurrency"):
        if getattr(execute, name) < 0:
            raise UserError(f"execute.{name}={getattr(execute, name)} must be 0 or more")
    for stage in (run.questions, run.programs):
        stage.check_made()
    cached = load_cache(cache, run)  # a worker's warning would not reach the user
    layers = raised(execute.layers, execute.run_without_kernel_layers)
    models = load_specialists(specialists, dataset.root)
    assignment = program_assignment(run, execute.repairs, decompose, llm, cached, toolbox)
    with (
        run.traces.open(**_decides(execute, specialists, models, assignment)) as out,
        assignment.tasks(out.done) as tasks,
    ):
        for layer in (layer for layer in Layer if layer not in layers):
            warning = f"programs run without {layer.value}: {missing(layer)}"
            _log.info(warning)
        count = assignment.count() - len(out.done)
        work = Work(
            run=run,
            root=dataset.root,
            make_agent=partial(ProgramAgent, execute.limits, layers, execute.repairs),
            toolbox=toolbox,
            concurrency=execute.concurrency,
            specialists=specialists,
            cache=cache,
        )
        workers = _workers(execute.workers, specialists, toolbox)
        past = PastTheEnd()
        with _executor(work, models, workers, count) as do:
            for entry in progress("execute", _ends(past.noting(tasks), do, assignment), count):
                out.add(entry)
                past.compare(entry)
        out.sort(assignment.ids())
    if told := past.told():
        _log.info(told)


def decides(
    run: Run,
    *,
    execute: ExecuteConfig,
    dataset: DatasetConfig,
    specialists: SpecialistsConfig,
    decompose: PromptSettings,
    llm: LLMConfig,
    cache: CacheConfig,
    toolbox: Toolbox = VIDEO_TOOLS,
) -> dict[str, Any]:
    """What decides the traces, as `Stage.open` takes it.

    Raises:
        UserError: as `job`.
    """
    models = load_specialists(specialists, dataset.root)
    cached = load_cache(cache, run)
    assignment = program_assignment(run, execute.repairs, decompose, llm, cached, toolbox)
    return _decides(execute, specialists, models, assignment)


def _decides(
    execute: ExecuteConfig, specialists: SpecialistsConfig, models: Specialists, assignment: Assignment[T]
) -> dict[str, Any]:
    parts = assignment.decides()
    settings = {"limits": asdict(execute.limits), "frames": specialists.frames, **parts["settings"]}
    return parts | {"settings": settings, "models": models.models() | parts.get("models", {})}


def _workers(asked: int, specialists: SpecialistsConfig, toolbox: Toolbox) -> int:
    """How many processes: as many as are asked for; else one per core, or one where models have weights.

    Raises:
        UserError: several are asked for, and they cannot import a tool.
    """
    script = next((tool.name for tool in toolbox.tools if tool.module == "__main__"), "")
    if asked > 1 and script:
        raise UserError(
            f"execute.workers={asked}: other processes cannot import the tool {script} from a script: "
            "put it into a module, or set execute.workers=1"
        )
    return asked or (1 if specialists.weighty() or script else cores())


def _ends(tasks: Iterable[T], do: Executor[T], assignment: Assignment[T]) -> Iterator[StageEntry]:
    """What questions end in, as it comes."""
    if not assignment.revises:
        for end in do(tasks):
            assert isinstance(end, StageEntry), "no task is revised"
            yield end
        return
    for batch in batches(tasks, BATCH):
        yield from _ends_of_batch(batch, do, assignment)


def _ends_of_batch(todo: list[T], do: Executor[T], assignment: Assignment[T]) -> Iterator[StageEntry]:
    """What some questions end in; their tasks are revised until each question is settled."""
    place = {task.question.question_id: number for number, task in enumerate(todo)}
    while todo:
        unsettled: list[Turn[T]] = []
        for end in do(todo):
            if isinstance(end, StageEntry):
                yield end
            else:
                unsettled.append(end)
        # Turns come as they are ready; what a model is asked does not depend on which came first.
        unsettled.sort(key=lambda turn: place[turn.task.question.question_id])
        todo, ended = assignment.revise(unsettled)
        yield from (StageEntry.of(turn.record, total(turn.costs)) for turn in ended)


Executor = Callable[[Iterable[T]], Iterator[StageEntry | Turn[T]]]
"""Tasks -> what comes of them, as it comes: what the question ends in, or a turn that is to be revised."""


@contextmanager
def _executor(work: Work[T], specialists: Specialists, workers: int, count: int) -> Iterator[Executor[T]]:
    """What does `count` tasks: this process, or several where more than one worker is asked for."""
    if (processes := min(workers, count)) > 1:
        with _Workers(work, processes) as pool:
            yield pool.run
        return
    with Worker(work, specialists, count) as worker:
        yield worker.run


class _Workers(Generic[T]):
    """Processes that share the videos. Where one dies, others are started and go on from there."""

    def __init__(self, work: Work[T], count: int) -> None:
        self._start = partial(worker_pool, count, start_worker, work)
        self._ahead = AHEAD * count
        self._opened = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def run(self, tasks: Iterable[T]) -> Iterator[StageEntry | Turn[T]]:
        """What comes of tasks, as it comes; a video's tasks must stand together.

        Raises:
            UserError: a worker died again before anything had come of what was left.
        """
        videos = groupby(tasks, key=lambda task: task.question.video_id)
        coming = (part for _, group in videos for part in batches(group, BATCH))
        left: list[list[T]] = []
        died = False
        while True:
            running: dict[Future[list[StageEntry | Turn[T]]], list[T]] = {}
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

    def _submit(self, video: list[T], left: list[list[T]]) -> Future[list[StageEntry | Turn[T]]]:
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

    def __enter__(self) -> _Workers[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.__exit__(kind, error, at)
