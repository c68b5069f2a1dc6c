"""What a question takes, measured: wall time, calls and tokens, and the memory of a GPU.

    with Meter() as meter:
        replies = engine.generate(prompts, max_tokens=512)
    out.write(record, meter.cost(question_id, batch=len(prompts), replies=[replies[0]]))

The clock stands still while models are loaded and the processes that decode are started: that is done once, however
many questions there are.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Protocol, TypeVar

from aotd.records import Cost


class MeteredReply(Protocol):
    """What is counted of a model's reply."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def reply_tokens(self) -> int: ...
    @property
    def recorded(self) -> bool: ...
    @property
    def refused(self) -> bool: ...


M = TypeVar("M", bound=MeteredReply)

_loading_s = 0.0
"""Seconds that this process has spent on that."""


@contextmanager
def loading() -> Iterator[None]:
    """What is done in here is no question's time."""
    global _loading_s
    started = time.perf_counter()
    try:
        yield
    finally:
        _loading_s += time.perf_counter() - started


def clock() -> float:
    """Seconds from some moment on, those left out that were spent in `loading`."""
    return time.perf_counter() - _loading_s


class Meter:
    """Measures what is done inside it; not one inside another."""

    seconds = 0.0
    memory_mb: float | None = None
    """The most memory of the GPU that this process held; None without one."""

    def __enter__(self) -> Meter:
        _forget_gpu_peak()
        self._started = clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.seconds = clock() - self._started
        self.memory_mb = gpu_peak_mb()

    def cost(
        self,
        question_id: str,
        *,
        batch: int = 1,
        replies: Sequence[MeteredReply] = (),
        tool_calls: int = 0,
        specialist_calls: int = 0,
    ) -> Cost:
        """One question's cost.

        Args:
            batch: how many questions it was done for; each bears an equal share of the time.
            replies: those of a model that are this question's; those from a record cost nothing and are `reused`.
        """
        asked = [reply for reply in replies if not reply.recorded and not reply.refused]
        # No prompt is without tokens: a server that says 0 does not count.
        told = all(reply.prompt_tokens for reply in asked)
        return Cost(
            question_id=question_id,
            seconds=round(self.seconds / batch, 6),
            batch=batch,
            llm_calls=len(asked),
            prompt_tokens=sum(reply.prompt_tokens for reply in asked) if told else None,
            reply_tokens=sum(reply.reply_tokens for reply in asked) if told else None,
            tool_calls=tool_calls,
            specialist_calls=specialist_calls,
            reused=sum(reply.recorded for reply in replies),
            memory_mb=self.memory_mb,
            machine=_machine(),
        )


def carried(question_id: str) -> Cost:
    """The cost of what was made for another question before."""
    return Cost(question_id=question_id, seconds=0.0, reused=1, machine=_machine())


def total(costs: Sequence[Cost]) -> Cost:
    """One question's costs, at least one, as one: sums, but for `batch` and `memory_mb`, of which it is the largest."""
    machines = {cost.machine for cost in costs}
    memory = [cost.memory_mb for cost in costs if cost.memory_mb is not None]
    return Cost(
        question_id=costs[0].question_id,
        seconds=round(sum(cost.seconds for cost in costs), 6),
        batch=max(cost.batch for cost in costs),
        llm_calls=sum(cost.llm_calls for cost in costs),
        prompt_tokens=_sum([cost.prompt_tokens for cost in costs]),
        reply_tokens=_sum([cost.reply_tokens for cost in costs]),
        tool_calls=sum(cost.tool_calls for cost in costs),
        specialist_calls=sum(cost.specialist_calls for cost in costs),
        reused=sum(cost.reused for cost in costs),
        memory_mb=max(memory, default=None),
        machine=machines.pop() if len(machines) == 1 else "",
    )


def once(prompts: Sequence[str], replies: Sequence[M]) -> list[list[M]]:
    """For each prompt the replies that it is to pay for: equal ones are asked once, and the first of them pays."""
    payers = {prompt: at for at, prompt in reversed(list(enumerate(prompts)))}
    return [[reply] if payers[prompts[at]] == at else [] for at, reply in enumerate(replies)]


def gpu_peak_mb() -> float | None:
    """The most memory of the GPU that this process has held since it was last forgotten, in MiB; None without a GPU."""
    if "torch" not in sys.modules:
        return None
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch.cuda.is_available() else None


def _forget_gpu_peak() -> None:
    if "torch" not in sys.modules:
        return
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats()


@cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
