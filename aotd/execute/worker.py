"""A worker: one process with specialists, in which an agent works on questions.

A process that is started for it imports this module and what it needs, and no more: neither settings nor language
models. So `Work` holds parts of `aotd.config.tree.Config`, and not that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic

from aotd.agents.base import Agent, T, Turn, work_on
from aotd.execute.schedule import Scheduler
from aotd.runtime.meter import loading, total
from aotd.runtime.pools import cores
from aotd.specialists import SpecialistsConfig
from aotd.specialists.calls import Findings
from aotd.specialists.load import load_specialists
from aotd.specialists.protocols import Specialists
from aotd.store.cache import CacheConfig, load_cache
from aotd.store.run import Run
from aotd.store.stage import StageEntry
from aotd.tools.toolbox import Toolbox

CONCURRENCY = 16
"""Tasks at once, at most, in a process whose specialists have weights, here or at a server of ours."""
CONCURRENCY_PER_CORE = 4
"""So many find work for a core; each more is one more process to start. A server is not on these cores."""


def default_concurrency(models: SpecialistsConfig) -> int:
    """How many tasks run at once in a process by default."""
    if models.remote():
        return CONCURRENCY
    return min(CONCURRENCY, CONCURRENCY_PER_CORE * cores()) if models.weighty() else 1


@dataclass(frozen=True)
class Work(Generic[T]):
    """What decides how tasks are done, for every worker of a run."""

    run: Run
    root: str
    """Folder of the videos."""
    make_agent: Callable[[], Agent[T]]
    """Each worker has an agent of its own."""
    toolbox: Toolbox
    concurrency: int
    """Tasks at once; 0: `default_concurrency`."""
    specialists: SpecialistsConfig
    cache: CacheConfig


def settled(agent: Agent[T], turn: Turn[T]) -> StageEntry | Turn[T]:
    """What the question ends in, with what all its tasks took; the turn itself where the question goes on."""
    record = agent.settle(turn)
    return turn if record is None else StageEntry.of(record, total(turn.costs))


class Worker(Generic[T]):
    """Specialists and an agent, at work in one process."""

    def __init__(self, work: Work[T], specialists: Specialists, count: int = 0) -> None:
        """`count`: for how many tasks all is made ready when this is entered."""
        models = work.specialists
        self._findings = Findings(specialists, load_cache(work.cache, work.run), models.unpinned(), models.remote())
        self._agent, self._toolbox = work.make_agent(), work.toolbox
        self._lanes = models.lanes()
        self._concurrency = work.concurrency or default_concurrency(models)
        self._count = count

    def run(self, tasks: Iterable[T]) -> Iterator[StageEntry | Turn[T]]:
        """What comes of tasks and of those that follow from them, as it comes (`settled`)."""
        return (settled(self._agent, turn) for turn in self._turns(tasks))

    def _turns(self, tasks: Iterable[T]) -> Iterator[Turn[T]]:
        run = partial(work_on, self._agent, findings=self._findings, toolbox=self._toolbox)
        if self._concurrency > 1:
            return Scheduler(run, self._findings, self._concurrency, self._lanes).turns(tasks)
        return (run(task, self._findings.answer) for task in tasks)

    def __enter__(self) -> Worker[T]:
        source = self._findings.specialists.source
        if hasattr(source, "begin"):
            with loading():
                source.begin(min(self._count, self._concurrency))
        self._agent.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._agent.__exit__(kind, error, at)


_worker: Worker[Any]
"""A worker process's own worker; what its agent has started goes when the process goes."""


def start_worker(work: Work[Any]) -> None:
    """Make this process a worker, for `run_together`."""
    global _worker
    _worker = Worker(work, load_specialists(work.specialists, work.root))


def run_together(tasks: list[Any]) -> list[StageEntry | Turn[Any]]:
    """What comes of tasks, in a process that `start_worker` has made a worker."""
    return list(_worker.run(tasks))
