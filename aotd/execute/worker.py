"""What runs programs in one process: specialists, a sandbox, and what becomes of each program.

A process that is started for it imports this module and what it needs, and no more: neither settings nor language
models. So `Work` holds parts of `aotd.config.tree.Config`, and not that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from aotd.agents.program.attempts import Attempt, Result, candidate, first, settled
from aotd.errors import QuestionError
from aotd.execute import ExecuteConfig
from aotd.execute.schedule import Schedule
from aotd.records import Dropped, Program, Question, Trace
from aotd.runtime.meter import Meter, loading, total
from aotd.runtime.pools import cores
from aotd.sandbox.layers import Layer
from aotd.sandbox.process import Calls, ProgramResult, Sandbox, StoppedError
from aotd.specialists import SpecialistsConfig
from aotd.specialists.calls import Call, CallResult, CountingSpecialists, Findings
from aotd.specialists.load import load_specialists
from aotd.specialists.protocols import Specialists
from aotd.store.cache import CacheConfig, load_cache
from aotd.store.run import Run
from aotd.store.stage import StageEntry
from aotd.video.clip import Clip

PROGRAMS = 16
"""Programs at once, at most, in a process whose specialists have weights, here or at a server of ours."""
PROGRAMS_A_CORE = 4
"""So many find work for a core; each more is one more process to start. A server is not on these cores."""


def programs_at_once(models: SpecialistsConfig) -> int:
    """How many programs run at once in a process, where nothing is said of it."""
    if models.remote():
        return PROGRAMS
    return min(PROGRAMS, PROGRAMS_A_CORE * cores()) if models.weighty() else 1


@dataclass(frozen=True)
class Work:
    """What decides how programs are run."""

    run: Run
    """Folder of the run."""
    root: str
    """Folder of the videos."""
    execute: ExecuteConfig
    specialists: SpecialistsConfig
    cache: CacheConfig
    layers: frozenset[Layer]
    """What stands around each program."""


def trace_question(question: Question, program: Program, specialists: Specialists, sandbox: Sandbox) -> Trace | Dropped:
    """Run one program on its question's video: the trace, or the outcome it ended in."""
    findings = Findings(specialists)
    return _run(first(question, program), findings.answer, findings, sandbox).record


def _run(attempt: Attempt, answer: Callable[[Call], CallResult], findings: Findings, sandbox: Sandbox) -> Result:
    question, key = attempt.question, attempt.question.question_id
    asking = CountingSpecialists(findings, answer)
    with Meter() as meter:
        try:
            video = findings.specialists.source.open(question)
            done: ProgramResult | QuestionError = sandbox.run(
                attempt.code, Clip.whole(video), question.question, question.options, asking
            )
        except QuestionError as error:
            done = error
    meter.seconds = max(meter.seconds - asking.waited_s, 0.0) + asking.took_s
    calls = done.calls if isinstance(done, ProgramResult | StoppedError) else Calls()
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


def _run_in_turn(
    attempt: Attempt, answer: Callable[[Call], CallResult], findings: Findings, sandbox: Sandbox, repairs: int
) -> Result:
    """Run an attempt, and the question's other candidates until it is settled."""
    result = _run(attempt, answer, findings, sandbox)
    while result.attempt.others and settled(result, repairs) is None:
        result = _run(candidate(result), answer, findings, sandbox)
    return result


def ended(result: Result, repairs: int) -> StageEntry | Result:
    """What the question ends in, with what all its programs took; the result itself where the program goes back."""
    record = settled(result, repairs)
    return result if record is None else StageEntry.of(record, total(result.costs))


class Worker:
    """Specialists and a sandbox, and what runs programs with them in one process."""

    def __init__(self, work: Work, specialists: Specialists, count: int = 0) -> None:
        """`count`: for how many programs all is made ready when this is entered."""
        models = work.specialists
        self._findings = Findings(specialists, load_cache(work.cache, work.run), models.unpinned(), models.remote())
        self._sandbox = Sandbox(work.execute.limits, work.layers)
        self._lanes = models.lanes()
        self._programs = work.execute.programs or programs_at_once(models)
        self._repairs = work.execute.repairs
        self._count = count

    def run(self, attempts: Iterable[Attempt]) -> Iterator[StageEntry | Result]:
        """What comes of attempts and of the other candidates, as it comes (`ended`)."""
        return (ended(result, self._repairs) for result in self._results(attempts))

    def _results(self, attempts: Iterable[Attempt]) -> Iterator[Result]:
        run = partial(_run_in_turn, findings=self._findings, sandbox=self._sandbox, repairs=self._repairs)
        if self._programs > 1:
            return Schedule(run, self._findings, self._programs, self._lanes).results(attempts)
        return (run(attempt, self._findings.answer) for attempt in attempts)

    def __enter__(self) -> Worker:
        source = self._findings.specialists.source
        if hasattr(source, "begin"):
            with loading():
                source.begin(min(self._count, self._programs))
        self._sandbox.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sandbox.close()


_worker: Worker
"""A worker process's own specialists and sandbox; the warm process in it goes when the worker goes."""


def start_worker(work: Work) -> None:
    """Have this process do what `run_together` is given."""
    global _worker
    _worker = Worker(work, load_specialists(work.specialists, work.root))


def run_together(attempts: list[Attempt]) -> list[StageEntry | Result]:
    """What comes of attempts, in a process that `start_worker` has made a worker."""
    return list(_worker.run(attempts))
