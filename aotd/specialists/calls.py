"""What specialists are asked, and each different thing once.

    findings = Findings(specialists, cache)
    call = findings.call("detection", "detect", clip, "door")
    found = findings.known(call) or findings.find([call])[0]

A tool call that reaches a specialist is a `Call`. Two calls with one key have one finding: the key holds the model
and what it is set to, the video's content and part, frames and crops, and what is asked. Findings stand in the cache
(`aotd.store.cache`), on a page for each video; a specialist that fails has found nothing out, and is asked again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aotd.models.load_lock import MODEL_LOCK
from aotd.runtime.meter import clock
from aotd.specialists.protocols import Specialists
from aotd.specialists.subtasks import SUBTASKS
from aotd.store.cache import Cache, code, key
from aotd.video.clip import Clip

_CODE = ("specialists", "video_llms", "models", "video", "datasets/playroom", "scoring/iou.py")
"""What findings are made by, of this package; prompts are in the models' names."""
_LIBRARIES = ("numpy", "pillow", "scikit-learn", "scipy", "torch", "transformers")
"""Whose versions may change what a model finds."""


@dataclass(frozen=True)
class Call:
    """One method of one specialist, and what it is given."""

    subtask: str
    method: str
    clip: Clip | None
    """None where nothing of a video is shown (`choose`)."""
    arguments: tuple[Any, ...]
    """Behind the clip."""
    page: str
    """Where its finding stands in the cache."""
    key: str

    @property
    def given(self) -> tuple[Any, ...]:
        """All arguments."""
        return self.arguments if self.clip is None else (self.clip, *self.arguments)


@dataclass(frozen=True)
class CachedFinding:
    """A finding, which may be None."""

    value: Any


class Findings:
    """Answers calls, from memory and disk where their findings are known, else by asking the specialists.

    `call` and `known` may be used by several threads; a specialist is asked by one at a time.
    """

    def __init__(
        self,
        specialists: Specialists,
        cache: Cache | None = None,
        unpinned: Collection[str] = (),
        remote: Collection[str] = (),
    ) -> None:
        """Args:
        cache: where findings of other runs are; without one they are remembered while this lives.
        unpinned: sub-tasks whose model tells nothing but a name, as behind a server: nothing of theirs is written
            down, since another model may have the name tomorrow.
        remote: sub-tasks whose specialist is in another process, which reads the videos itself.
        """
        self.specialists = specialists
        self._memory = Cache()
        self._cache = cache or self._memory
        self._unpinned, self._remote = frozenset(unpinned), frozenset(remote)
        self._models = specialists.models()

    def call(self, subtask: str, method: str, clip: Clip | None, *arguments: Any) -> Call:
        """A call, with its key.

        Args:
            clip: the one that is asked about.
            arguments: what JSON can hold.
        """
        seen: list[Any] = []
        if clip is None:
            page = key(subtask, method, arguments)[:3]  # calls without a video share out 4,096 pages
        else:
            video, content = clip.video, clip.video.content
            part = [video.video_id, content, video.start_s, video.end_s, video.frames]
            seen = [self._models["source"], *part, clip.numbers, sorted(clip.crops.items())]
            page = key(content)
        asked = key(made_by(), self._models[subtask], subtask, method, seen, arguments)
        return Call(subtask, method, clip, arguments, f"{page}.findings", asked)

    def known(self, call: Call) -> CachedFinding | None:
        """What is known already; None where the specialist must be asked."""
        text = self._store(call).get(call.page, call.key)
        if text is None:
            return None
        try:
            return CachedFinding(_finding(call).validate_json(text))
        except ValidationError:  # somebody has written into the cache
            return None

    def find(self, calls: Sequence[Call]) -> list[CachedFinding]:
        """Ask the specialist, and remember what it found.

        Args:
            calls: different ones, of one method of one specialist. They go through its model together where it can
                take several (a method named `detect_all` and so on, of lists of arguments).

        Raises:
            Exception: what the specialist raises; of several calls nothing is known then.
        """
        specialist = getattr(self.specialists, calls[0].subtask)
        several: Callable[..., list[Any]] | None = getattr(specialist, f"{calls[0].method}_all", None)
        elsewhere = calls[0].subtask in self._unpinned | self._remote
        with nullcontext() if elsewhere else MODEL_LOCK.read():
            if several is not None and len(calls) > 1:
                found = several([call.given for call in calls])
            else:
                found = [getattr(specialist, call.method)(*call.given) for call in calls]
        for call, finding in zip(calls, found, strict=True):
            text = _finding(call).dump_json(finding).decode()
            self._store(call).put(call.page, call.key, text)
        return [CachedFinding(finding) for finding in found]

    def answer(self, call: Call) -> CallResult:
        """Answer a call here and now.

        Raises:
            Exception: what the specialist raises.
        """
        started = clock()
        known = self.known(call)
        found = known or self.find([call])[0]
        return CallResult(found, known is not None, clock() - started)

    def looks(self, call: Call) -> bool:
        """Whether frames are looked at in this process for a call."""
        return call.clip is not None and bool(call.clip.numbers) and call.subtask not in self._remote

    def at_once(self, call: Call) -> int:
        """How many calls like this one can be asked together."""
        specialist = getattr(self.specialists, call.subtask)
        return specialist.batch if hasattr(specialist, f"{call.method}_all") else 1

    def room(self) -> int:
        """How many videos can be in work at once, so that none is decoded or looked at twice; at least one."""
        parts = (getattr(self.specialists, name) for name in self._models)
        return max(min((part.room() for part in parts if hasattr(part, "room")), default=sys.maxsize), 1)

    def _store(self, call: Call) -> Cache:
        return self._memory if call.subtask in self._unpinned else self._cache


@dataclass(frozen=True)
class CallResult:
    """What a call was answered with."""

    finding: CachedFinding
    reused: bool
    """Whether no model was asked for it."""
    seconds: float
    """What it took; of what was done for several, an equal share."""
    shared: int = 1
    """How many calls the time was shared out to."""


class CountingSpecialists(Specialists):
    """The specialists as one program reaches them: every call goes through `Findings`, and its cost is counted."""

    def __init__(self, findings: Findings, answer: Callable[[Call], CallResult]) -> None:
        """Args:
        answer: gives a call's finding, at once or when others have been asked too.
        """
        proxies = {name: _Proxy(name, self._ask) for name in SUBTASKS}
        super().__init__(findings.specialists.source, **proxies)
        self._findings, self._answer = findings, answer
        self.reused = 0
        """Calls for which no model was asked."""
        self.waited_s, self.took_s = 0.0, 0.0
        """Seconds until its calls were answered, and its share of what that took."""
        self.shared = 1
        """The most calls among which the time of one was shared out."""

    def _ask(self, subtask: str, method: str, given: tuple[Any, ...]) -> Any:
        started = clock()
        known = SUBTASKS[subtask].methods[method]
        clip, behind = (given[0], given[1:]) if known.takes_clip else (None, given)
        result = self._answer(self._findings.call(subtask, method, clip, *known.arguments.validate_python(behind)))
        self.waited_s += clock() - started
        self.took_s += result.seconds
        self.reused += result.reused
        self.shared = max(self.shared, result.shared)
        finding = result.finding.value
        return list(finding) if isinstance(finding, list) else finding  # others may have been given the same list


class _Proxy:
    """The specialist of one sub-task: each of its methods is a call."""

    model = ""

    def __init__(self, subtask: str, ask: Callable[[str, str, tuple[Any, ...]], Any]) -> None:
        self._subtask, self._ask = subtask, ask

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in SUBTASKS[self._subtask].methods:
            raise AttributeError(method)
        return lambda *given: self._ask(self._subtask, method, given)


def _finding(call: Call) -> TypeAdapter[Any]:
    return SUBTASKS[call.subtask].methods[call.method].finding


@once
def made_by() -> tuple[str, ...]:
    """What findings are made by: our code, and the libraries' versions."""
    return (f"code {code(*_CODE)}", *(f"{name} {version(name)}" for name in _LIBRARIES))
