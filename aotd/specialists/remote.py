"""Specialists with weights on another node: `aotd serve` holds the model there, and this process asks it.

    aotd serve runs/mine gpu specialists/detection=owlv2 dataset.root=videos                      # on a node with a GPU
    aotd execute run=runs/mine specialists/detection=owlv2 dataset.root=videos \\
        specialists.detection.url=runs/mine/servers/gpu.json                                      # on any others

The server reads the videos itself: names of files and frames go over the network, findings come back. Its model has the
name that it would have here, and so findings have the same key in the cache and records the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from aotd.errors import QuestionError, UserError
from aotd.llm.http_client import HTTPClient, error_text
from aotd.llm.served import POISON
from aotd.models import WeightsConfig
from aotd.records import Outcome
from aotd.specialists.calls import made_by
from aotd.specialists.subtasks import SUBTASKS
from aotd.specialists.wire import (
    CallMessage,
    ClipMessage,
    FindingsRequest,
    FindingsResponse,
    SpecialistOffer,
    SpecialistRequest,
    wire_settings,
)
from aotd.video.clip import Clip
from aotd.video.source import DecodedVideo

TIMEOUT_S = 600.0
"""How long a reply is waited for: others are asked for first, and weights may have to be loaded. The server remembers
what it found, so that who asks again is not behind."""
RETRIES = 4

B = TypeVar("B", bound=BaseModel)


class Remote:
    """The specialist of one sub-task, at a server. It has the methods that the table of sub-tasks names."""

    def __init__(self, subtask: str, config: WeightsConfig, root: str, pause_s: float = 0.5) -> None:
        """Waits for the server, and asks it for its specialist.

        Args:
            root: folder of the videos.
            pause_s: the wait before the first retry, in seconds.

        Raises:
            UserError: there is no server, or its specialist is set to something else.
        """
        self._subtask, self._setting, self._root = subtask, f"specialists.{subtask}", Path(root).resolve()
        self._methods = SUBTASKS[subtask].methods
        self._file = Path(config.url)
        self._server = HTTPClient(
            self._setting,
            url=config.url,
            key_variable="",
            timeout_s=TIMEOUT_S,
            retries=RETRIES,
            batch=1,
            pause_s=pause_s,
        )
        wanted = SpecialistRequest(subtask=subtask, settings=wire_settings(config))
        self._offered = self._read(self._server.post("specialist", wanted.model_dump(mode="json")), SpecialistOffer)
        self.batch = self._offered.batch
        self.model = self._offered.model
        # Another library or other code may find something else, and then it is another model.
        if others := [one for one in self._offered.made_by if one not in made_by()]:
            self.model += f", made by {', '.join(others)}"
        self._room = sys.maxsize

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The methods of the sub-task, and `<method>_all` of a list of calls."""
        if name in self._methods:
            return lambda *given: self._ask(name, [given])[0]
        if name.endswith("_all") and (method := name.removesuffix("_all")) in self._methods:
            return lambda calls: self._ask(method, calls)
        raise AttributeError(name)

    def room(self) -> int:
        """How many videos the server's specialist can keep what it made of; it may serve others as well."""
        return self._room

    def _ask(self, method: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What each call finds.

        Raises:
            QuestionError: as the specialist, or a call ends the server.
            UserError: the server cannot go on, or has become another one.
        """
        calls = [self._asked(given) for given in asked]
        found: list[Any] = []
        for first in range(0, len(calls), self.batch):
            found += self._ask_together(method, calls[first : first + self.batch])
        return found

    def _ask_together(self, method: str, calls: list[CallMessage]) -> list[Any]:
        offered = self._offered
        ask = FindingsRequest.model_construct(
            subtask=self._subtask, method=method, model=offered.model, made_by=offered.made_by, calls=tuple(calls)
        )
        told = self._read(self._server.post("findings", ask.model_dump(mode="json")), FindingsResponse)
        if told.failed is not None:
            raise QuestionError(told.failed.outcome, told.failed.reason)
        self._room = sys.maxsize if told.room is None else told.room
        try:
            findings = [self._methods[method].finding.validate_python(finding) for finding in told.findings]
        except ValidationError:
            raise self._odd() from None
        if len(findings) != len(calls):
            raise self._odd()
        return findings

    def _asked(self, given: tuple[Any, ...]) -> CallMessage:
        if not given or not isinstance(given[0], Clip):
            return CallMessage(seen=None, arguments=given)
        clip = given[0]
        video = clip.video
        assert isinstance(video, DecodedVideo), "who loads specialists has looked at the source"
        seen = ClipMessage(
            video=video.path.relative_to(self._root).as_posix(),
            video_id=video.video_id,
            content=video.content,
            start_s=video.start_s,
            end_s=video.end_s,
            frames=video.frames,
            numbers=clip.numbers,
            crops=tuple(sorted(clip.crops.items())),
        )
        return CallMessage(seen=seen, arguments=given[1:])

    def _read(self, response: httpx.Response, kind: type[B]) -> B:
        where = f"{self._setting}.url={self._file}"
        if POISON in response.headers:
            raise QuestionError(Outcome.tool_failed, error_text(response))
        if response.status_code == 413:
            raise QuestionError(Outcome.tool_failed, f"a call is longer than a server takes ({error_text(response)})")
        if response.status_code == 409:
            raise UserError(f"{where}: at the server, {error_text(response, 1000)}")
        if response.status_code == 404:
            raise UserError(
                f"{where} names a server without specialists of ours: start one with "
                f"`aotd serve RUN {self._file.stem} specialists/{self._subtask}=…`"
            )
        if response.status_code != 200:
            raise UserError(f"{where}: the server answered {response.status_code} {error_text(response)}")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError:
            raise self._odd() from None

    def _odd(self) -> UserError:
        return UserError(
            f"{self._setting}.url={self._file}: the server answered what this version of aotd does not understand: "
            "let both be of one version"
        )
