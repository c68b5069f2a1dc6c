"""The agent of the paper: it runs a program that was written for the question, in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from aotd.agents.base import Turn
from aotd.agents.program.attempts import Attempt, candidate, settled
from aotd.records import Dropped, Trace
from aotd.sandbox.layers import Layer
from aotd.sandbox.process import Limits, Sandbox
from aotd.tools.toolbox import ToolSession
from aotd.video.clip import Clip


class ProgramAgent:
    """Runs a question's program, then its other candidates, until one gives the true answer.

    Args:
        layers: what stands around each program (`aotd.sandbox.layers.raised`).
        repairs: how often a program that failed may go back to the code LLM.
    """

    name = ""

    def __init__(self, limits: Limits, layers: frozenset[Layer], repairs: int = 0) -> None:
        self._sandbox, self._repairs = Sandbox(limits, layers), repairs

    def act(self, task: Attempt, clip: Clip, tools: ToolSession) -> str:
        """As `Agent.act`."""
        question = task.question
        return self._sandbox.run(task.code, clip, question.question, question.options, tools)

    def notes(self, task: Attempt) -> Mapping[str, Any]:
        """As `Agent.notes`: how many programs it took, and the one that ran where it is not the question's first."""
        return {"tries": task.tries, "code": None if task.code == task.program.code else task.code}

    def settle(self, turn: Turn[Attempt]) -> Trace | Dropped | None:
        """As `Agent.settle`."""
        return settled(turn, self._repairs)

    def following(self, turn: Turn[Attempt]) -> Attempt | None:
        """As `Agent.following`: the next candidate."""
        return candidate(turn) if turn.task.others else None

    def __enter__(self) -> ProgramAgent:
        self._sandbox.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sandbox.close()
