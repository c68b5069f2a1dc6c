"""Tasks side by side: their calls are gathered, and the specialists answer all of them together.

A task asks for one thing at a time and waits for it, so a model that serves one task sees one prompt at a time. Here
each task runs in a thread of its own. A call without a known finding goes into a queue, once for all tasks that want
it, and they wait. One more thread for each lane asks the models: calls that cannot go together one by one; those that
can, when they fill a batch or when every task waits. A specialist shares its lane with those that share its weights or
a budget of memory (`SpecialistsConfig.lanes`). So a slow server, or a model that leaves a core idle, holds up no other.
The calls of the task that began first go first: tasks then end one after the other, and the last calls of one are
answered while the models of others are at work.

What a task is answered does not depend on the others, since a finding depends on its call alone. The thread that first
asks about a video decodes its frames, while the models are busy with other things.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Generic

from aotd.agents.base import T, Turn
from aotd.errors import QuestionError
from aotd.runtime.meter import clock
from aotd.runtime.pools import cores
from aotd.runtime.signals import stopping
from aotd.specialists.calls import CachedFinding, Call, CallResult, Findings


class _Abandoned(BaseException):
    """The run has ended; a task that still waits is given up."""


@dataclass(eq=False)
class _PendingCall:
    """A call that tasks wait for."""

    call: Call
    turn: int
    """Number of the first task that waits; the smallest is asked next."""
    waiting: int = 0
    """How many tasks wait."""
    alone: bool = False
    """Whether it is asked by itself, since it failed together with others."""
    done: threading.Event = field(default_factory=threading.Event)
    result: CachedFinding | None = None
    error: BaseException | None = None
    seconds: float = 0.0
    """Share of the time it took, for each task that waited."""
    shared: int = 1


@dataclass(frozen=True)
class _Batch:
    """Calls that a model answers together, and when that began."""

    calls: list[_PendingCall]
    results: Future[list[CachedFinding]]
    started: float


class Scheduler(Generic[T]):
    """Runs tasks side by side."""

    def __init__(
        self,
        run: Callable[[T, Callable[[Call], CallResult]], Turn[T]],
        findings: Findings,
        concurrency: int,
        lanes: Mapping[str, str],
    ) -> None:
        """Args:
        run: works on one task; its second argument answers the calls.
        concurrency: how many run at once, at most; no more videos are in work than there is room for, and none begins
            while there is no core for it.
        lanes: sub-task -> whom it shares a thread with.
        """
        self._run, self._findings, self._concurrency, self._lanes = run, findings, concurrency, lanes
        self._changed = threading.Condition()
        self._news = False
        self._over = False
        self._pending: dict[str, _PendingCall] = {}
        """Key -> a call that has no answer yet."""
        self._queue: list[_PendingCall] = []
        """Those of them that no model has got yet."""
        self._waiting = 0
        """Tasks that wait."""
        self._in_hand = threading.local()

    def turns(self, tasks: Iterable[T]) -> Iterator[Turn[T]]:
        """What comes of tasks, as it comes. No more are taken than can be run.

        Raises:
            UserError: a specialist cannot go on at all.
        """
        coming, turns = iter(tasks), count()
        following = next(coming, None)
        running: dict[Future[Turn[T]], str] = {}
        batches: dict[str, _Batch] = {}
        threads = ThreadPoolExecutor(self._concurrency, "task")
        models = {lane: ThreadPoolExecutor(1, "models") for lane in set(self._lanes.values())}
        try:
            while following is not None or running:
                while following is not None and self._has_room(following, running):
                    future = threads.submit(self._run, following, partial(self._ask, next(turns)))
                    running[future] = following.question.video_id
                    future.add_done_callback(self._notify)
                    following = next(coming, None)
                for lane in models.keys() - batches.keys():
                    if calls := self._next(lane, len(running)):
                        results = models[lane].submit(self._findings.find, [pending.call for pending in calls])
                        results.add_done_callback(self._notify)
                        batches[lane] = _Batch(calls, results, clock())
                with self._changed:
                    self._changed.wait_for(lambda: self._news)
                    self._news = False
                for lane in [lane for lane, batch in batches.items() if batch.results.done()]:
                    self._settle(batches.pop(lane))
                for future in [future for future in running if future.done()]:
                    del running[future]
                    yield future.result()
        finally:
            self._give_up()
            for pool in (threads, *models.values()):
                pool.shutdown(wait=not stopping(), cancel_futures=True)

    def _has_room(self, task: T, running: dict[Future[Turn[T]], str]) -> bool:
        if len(running) >= self._concurrency or len(running) - self._waiting >= cores():
            return False  # several sandboxes that start at once keep each other, and the first frames, waiting
        video, videos = task.question.video_id, set(running.values())
        return video in videos or len(videos) < self._findings.room()

    def _notify(self, _: object = None) -> None:
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def _ask(self, turn: int, call: Call) -> CallResult:
        """CallResult a call of the task that began as the `turn`-th; in its thread."""
        started = clock()
        if (known := self._findings.known(call)) is not None:
            return CallResult(known, True, clock() - started)
        if call.clip is not None and self._findings.looks(call):
            with suppress(QuestionError):  # a specialist that looks at the frames will say so
                self._in_hand.frames = call.clip.video.pixels()  # until this thread takes others: decoded once
        own_s = clock() - started
        with self._changed:
            if self._over:
                raise _Abandoned
            pending = self._pending.get(call.key)
            if pending is None:
                if (known := self._findings.known(call)) is not None:  # since we last looked
                    return CallResult(known, True, own_s)
                pending = self._pending[call.key] = _PendingCall(call, turn)
                self._queue.append(pending)
            pending.turn = min(pending.turn, turn)
            first = not pending.waiting
            pending.waiting += 1
            self._waiting += 1
            self._notify()
        pending.done.wait()
        if pending.error is not None:
            raise pending.error
        assert pending.result is not None
        return CallResult(pending.result, not first, own_s + pending.seconds, pending.shared)

    def _next(self, lane: str, running: int) -> list[_PendingCall]:
        """The calls that go through a model of a lane next; none while it is better to wait for more."""
        with self._changed:
            groups: dict[tuple[str, str], list[_PendingCall]] = {}
            for pending in sorted(self._queue, key=lambda pending: pending.turn):
                if self._lanes[pending.call.subtask] != lane:
                    continue
                if pending.alone:
                    self._queue.remove(pending)
                    return [pending]
                groups.setdefault((pending.call.subtask, pending.call.method), []).append(pending)
            sized = [(group, self._findings.at_once(group[0].call)) for group in groups.values()]
            full = next(((group, size) for group, size in sized if len(group) >= size), None)
            if full is None and (not sized or self._waiting < running):
                return []
            group, size = full or max(sized, key=lambda item: len(item[0]))
            for pending in group[:size]:
                self._queue.remove(pending)
            return group[:size]

    def _settle(self, batch: _Batch) -> None:
        """Give the waiting tasks their results. Calls that failed together are asked again alone, so that none fails
        for another."""
        error, seconds = batch.results.exception(), clock() - batch.started
        with self._changed:
            if error is not None and len(batch.calls) > 1:
                for pending in batch.calls:
                    pending.alone = True
                self._queue += batch.calls
                return
            shared = sum(pending.waiting for pending in batch.calls)
            for at, pending in enumerate(batch.calls):
                pending.result, pending.error = (
                    (None, error) if error is not None else (batch.results.result()[at], None)
                )
                pending.seconds, pending.shared = seconds / shared, shared
                del self._pending[pending.call.key]
                self._waiting -= pending.waiting
                pending.done.set()

    def _give_up(self) -> None:
        with self._changed:
            self._over = True
            for pending in self._pending.values():
                pending.error = _Abandoned()
                pending.done.set()
