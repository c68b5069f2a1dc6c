"""Programs side by side: their calls are gathered, and the specialists are asked for all of them together.

A program asks for one thing at a time and waits for it, so that a model that serves one program sees one prompt at
a time. Here each program runs in a thread of its own. A call that nobody knows the finding of is put down, once for
all who want to know it, and who wants to know it waits. The models are asked by one more thread for each lane: calls
that cannot go together one by one, those that can when they fill a batch, or when every program waits. A specialist
shares its lane with those that share its weights or a budget of memory (`SpecialistsConfig.lanes`). So a slow server,
or a model that leaves a core idle, holds up no other. What the program that began first asks for goes first: programs
then end one after the other, and what one asks at its end is answered while the models of others are at work.

What a program is told does not depend on the others, since a finding depends on its call alone. A video's frames are
decoded by the thread that first asks about them, while the models are busy with other things.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from aotd.agents.program.attempts import Attempt, Result
from aotd.errors import QuestionError
from aotd.runtime.meter import clock
from aotd.runtime.pools import cores
from aotd.runtime.signals import stopping
from aotd.specialists.calls import CachedFinding, Call, CallResult, Findings


class _Over(BaseException):
    """The run has ended; a program that still waits is given up."""


@dataclass(eq=False)
class _Wanted:
    """A call that somebody waits for."""

    call: Call
    turn: int
    """Of those who wait, the one that began first; the smallest is asked next."""
    waiting: int = 0
    """How many programs."""
    alone: bool = False
    """Whether it is to be asked by itself, since it failed together with others."""
    told: threading.Event = field(default_factory=threading.Event)
    found: CachedFinding | None = None
    error: BaseException | None = None
    seconds: float = 0.0
    """What each of those who waited bears of the time it took."""
    shared: int = 1


@dataclass(frozen=True)
class _Asked:
    """Calls that a model has been asked together, and since when."""

    several: list[_Wanted]
    found: Future[list[CachedFinding]]
    started: float


class Schedule:
    """Runs attempts side by side."""

    def __init__(
        self,
        run: Callable[[Attempt, Callable[[Call], CallResult]], Result],
        findings: Findings,
        programs: int,
        lanes: Mapping[str, str],
    ) -> None:
        """Args:
        run: runs one attempt; its calls are answered by what it is given.
        programs: how many run at once, at most; no more videos are in work than there is room for, and none begins
            while there is no core for it.
        lanes: sub-task -> whom it shares a thread with.
        """
        self._run, self._findings, self._programs, self._lanes = run, findings, programs, lanes
        self._changed = threading.Condition()
        self._news = False
        self._over = False
        self._wanted: dict[str, _Wanted] = {}
        """Key -> a call that has no answer yet."""
        self._queue: list[_Wanted] = []
        """Those of them that no model has been asked for."""
        self._waiting = 0
        """Programs that wait."""
        self._in_hand = threading.local()

    def results(self, attempts: Iterable[Attempt]) -> Iterator[Result]:
        """What comes of attempts, as it comes. No more are taken than can be run.

        Raises:
            UserError: a specialist cannot go on at all.
        """
        coming, turns = iter(attempts), count()
        following = next(coming, None)
        running: dict[Future[Result], str] = {}
        asking: dict[str, _Asked] = {}
        programs = ThreadPoolExecutor(self._programs, "program")
        models = {lane: ThreadPoolExecutor(1, "models") for lane in set(self._lanes.values())}
        try:
            while following is not None or running:
                while following is not None and self._has_room(following, running):
                    future = programs.submit(self._run, following, partial(self._ask, next(turns)))
                    running[future] = following.question.video_id
                    future.add_done_callback(self._tell)
                    following = next(coming, None)
                for lane in models.keys() - asking.keys():
                    if several := self._next(lane, len(running)):
                        found = models[lane].submit(self._findings.find, [one.call for one in several])
                        found.add_done_callback(self._tell)
                        asking[lane] = _Asked(several, found, clock())
                with self._changed:
                    self._changed.wait_for(lambda: self._news)
                    self._news = False
                for lane in [lane for lane, asked in asking.items() if asked.found.done()]:
                    self._settle(asking.pop(lane))
                for future in [future for future in running if future.done()]:
                    del running[future]
                    yield future.result()
        finally:
            self._give_up()
            for pool in (programs, *models.values()):
                pool.shutdown(wait=not stopping(), cancel_futures=True)

    def _has_room(self, attempt: Attempt, running: dict[Future[Result], str]) -> bool:
        if len(running) >= self._programs or len(running) - self._waiting >= cores():
            return False  # several sandboxes that start at once keep each other, and the first frames, waiting
        video, videos = attempt.question.video_id, set(running.values())
        return video in videos or len(videos) < self._findings.room()

    def _tell(self, _: object = None) -> None:
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def _ask(self, turn: int, call: Call) -> CallResult:
        """CallResult a call of the program that began as the `turn`-th; in its thread."""
        started = clock()
        if (known := self._findings.known(call)) is not None:
            return CallResult(known, True, clock() - started)
        if call.clip is not None and self._findings.looks(call):
            with suppress(QuestionError):  # a specialist that looks at the frames will say so
                self._in_hand.frames = call.clip.video.pixels()  # until this thread takes others: decoded once
        own_s = clock() - started
        with self._changed:
            if self._over:
                raise _Over
            wanted = self._wanted.get(call.key)
            if wanted is None:
                if (known := self._findings.known(call)) is not None:  # since we last looked
                    return CallResult(known, True, own_s)
                wanted = self._wanted[call.key] = _Wanted(call, turn)
                self._queue.append(wanted)
            wanted.turn = min(wanted.turn, turn)
            first = not wanted.waiting
            wanted.waiting += 1
            self._waiting += 1
            self._tell()
        wanted.told.wait()
        if wanted.error is not None:
            raise wanted.error
        assert wanted.found is not None
        return CallResult(wanted.found, not first, own_s + wanted.seconds, wanted.shared)

    def _next(self, lane: str, running: int) -> list[_Wanted]:
        """The calls that go through a model of a lane next; none where it is better to wait for more."""
        with self._changed:
            groups: dict[tuple[str, str], list[_Wanted]] = {}
            for one in sorted(self._queue, key=lambda one: one.turn):
                if self._lanes[one.call.subtask] != lane:
                    continue
                if one.alone:
                    self._queue.remove(one)
                    return [one]
                groups.setdefault((one.call.subtask, one.call.method), []).append(one)
            sized = [(group, self._findings.at_once(group[0].call)) for group in groups.values()]
            full = next(((group, size) for group, size in sized if len(group) >= size), None)
            if full is None and (not sized or self._waiting < running):
                return []
            group, size = full or max(sized, key=lambda one: len(one[0]))
            for one in group[:size]:
                self._queue.remove(one)
            return group[:size]

    def _settle(self, asked: _Asked) -> None:
        """Tell those who wait what was found. What has failed together is asked again alone, so that no call's
        failure is another's."""
        error, seconds = asked.found.exception(), clock() - asked.started
        with self._changed:
            if error is not None and len(asked.several) > 1:
                for one in asked.several:
                    one.alone = True
                self._queue += asked.several
                return
            shared = sum(one.waiting for one in asked.several)
            for at, one in enumerate(asked.several):
                one.found, one.error = (None, error) if error is not None else (asked.found.result()[at], None)
                one.seconds, one.shared = seconds / shared, shared
                del self._wanted[one.call.key]
                self._waiting -= one.waiting
                one.told.set()

    def _give_up(self) -> None:
        with self._changed:
            self._over = True
            for one in self._wanted.values():
                one.error = _Over()
                one.told.set()
