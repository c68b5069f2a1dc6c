"""What an agent is: it takes a question, a clip and tools, and gives an answer or ends in a named outcome.

    with agent:
        turn = work(agent, task, findings.answer, findings, toolbox)
        turn.record        # a Trace, or a Dropped with its outcome

Each worker of `execute` has an agent, beside the specialists. Many tasks run at once, each in a thread
(`aotd.execute.schedule`); what they ask goes through the models together. An `Assignment` says, in the process that
hands out the work, which tasks there are.

An agent with an engine of its own asks it in `act`; limits are the agent's, and end in `QuestionError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from aotd.errors import QuestionError
from aotd.records import Cost, Dropped, Event, Question, Trace
from aotd.runtime.meter import Meter
from aotd.specialists.calls import Call, CallResult, CountingSpecialists, Findings
from aotd.tools.toolbox import Toolbox, ToolSession
from aotd.video.clip import Clip
from aotd.view.finding_text import observed


@dataclass(frozen=True)
class Task:
    """A question that an agent is to answer. An agent's own tasks hold what else it needs to know."""

    question: Question
    costs: tuple[Cost, ...] = field(default=(), kw_only=True)
    """What the question has taken before this."""


T = TypeVar("T", bound=Task)


@dataclass(frozen=True)
class Turn(Generic[T]):
    """What came of a task."""

    task: T
    record: Trace | Dropped
    events: tuple[Event, ...]
    """What the tools found, also where the task ended without an answer."""
    costs: tuple[Cost, ...] = ()
    """What the question has taken, this task included."""


class Agent(Protocol[T]):
    """A way to answer questions about videos with tools."""

    @property
    def name(self) -> str:
        """As its traces call it; empty for the agent that runs a program."""
        ...

    def act(self, task: T, clip: Clip, tools: ToolSession) -> str:
        """Work on a task. Several threads may do that at the same time.

        Args:
            clip: the whole of the question's video.
            tools: what it may call; they write the trace.

        Returns:
            The answer.

        Raises:
            QuestionError: the task ends in a named outcome.
        """
        ...

    def notes(self, task: T) -> Mapping[str, Any]:
        """Further fields of a task's trace."""
        ...

    def settle(self, turn: Turn[T]) -> Trace | Dropped | None:
        """What a question ends in; None where it goes on."""
        ...

    def following(self, turn: Turn[T]) -> T | None:
        """The next task of a question that goes on; None where `Assignment.revise` makes it."""
        ...

    def __enter__(self) -> Agent[T]: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Assignment(Protocol[T]):
    """What an agent is to do in a run."""

    def decides(self) -> dict[str, dict[str, Any]]:
        """What decides its traces, for the manifest."""
        ...

    def tasks(self, done: Collection[str]) -> AbstractContextManager[Iterator[T]]:
        """A task for each question that is not done, in the order of `ids`.

        Raises:
            UserError: a verb before has not run.
        """
        ...

    def ids(self) -> Iterable[str]:
        """Ids of the questions, in order."""
        ...

    def count(self) -> int:
        """How many questions there are."""
        ...

    @property
    def revises(self) -> bool:
        """Whether turns that are not settled go to `revise`."""
        ...

    def revise(self, turns: Sequence[Turn[T]]) -> tuple[list[T], list[Turn[T]]]:
        """What comes of turns that are not settled: the next tasks, and turns that are settled by it after all."""
        ...


def work(
    agent: Agent[T], task: T, answer: Callable[[Call], CallResult], findings: Findings, toolbox: Toolbox
) -> Turn[T]:
    """Have an agent work on one task, and measure it.

    Args:
        answer: answers a question to the specialists, at once or when others have been asked too.
        findings: knows the specialists and the videos.
    """
    key = task.question.question_id
    asking = CountingSpecialists(findings, answer)
    tools = ToolSession(toolbox, asking)
    ended: str | QuestionError
    with Meter() as meter:
        try:
            video = findings.specialists.source.open(task.question)
            ended = agent.act(task, Clip.whole(video), tools)
        except QuestionError as error:
            ended = error
    meter.seconds = max(meter.seconds - asking.waited_s, 0.0) + asking.took_s
    cost = meter.cost(key, tool_calls=tools.calls, specialist_calls=tools.specialist_calls)
    cost = cost.model_copy(update={"batch": asking.shared, "reused": asking.reused})
    costs = (*task.costs, cost)
    events = observed(tools.events, toolbox.by_name)
    if isinstance(ended, QuestionError):
        return Turn(task, Dropped(question_id=key, outcome=ended.outcome, reason=ended.reason), events, costs)
    record = Trace(
        question_id=key,
        frames=video.frames,
        start_s=video.start_s,
        end_s=video.end_s,
        width=video.width,
        height=video.height,
        events=events,
        answer=ended,
        agent=agent.name,
        **agent.notes(task),
    )
    return Turn(task, record, events, costs)


def work_on(
    agent: Agent[T], task: T, answer: Callable[[Call], CallResult], findings: Findings, toolbox: Toolbox
) -> Turn[T]:
    """Have an agent work on a task and on those that follow from it, until the question is settled or is revised."""
    turn = work(agent, task, answer, findings, toolbox)
    while agent.settle(turn) is None and (following := agent.following(turn)) is not None:
        turn = work(agent, following, answer, findings, toolbox)
    return turn
