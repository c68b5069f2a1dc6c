"""The messages between a worker and a server of specialists, as JSON (`aotd.specialists.remote`, `aotd.serve.own`).

A clip crosses as the name of its file and the numbers of its frames, never as pixels: both sides read the same files.
Each side checks whatever the other one says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aotd.models import WeightsConfig
from aotd.records import Box, Outcome
from aotd.specialists.subtasks import SUBTASKS

MOST_CALLS = 1024
"""In one request."""
LONGEST = 64 << 20
"""Bytes of a request."""

_OWN = ("url", "key_variable", "timeout_s", "retries", "wait_s", "batch")
"""Settings that each side has its own of."""
_PATHS = ("model", "clip", "features", "names")
"""Settings whose last part alone must be alike on both nodes. What lies there is in the model's name."""

Setting = str | int | float | bool | None


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SpecialistRequest(_Message):
    """Asks for a specialist (`POST /v1/specialist`)."""

    subtask: str
    settings: dict[str, Setting]


class SpecialistOffer(_Message):
    """Names the server's specialist, whose settings are those of the request."""

    model: str
    made_by: tuple[str, ...]
    """The server's code and libraries, as `aotd.specialists.calls.made_by`."""
    batch: int = Field(ge=1)
    """How many calls it is best given at once."""


class ClipMessage(_Message):
    """A clip (`aotd.video.clip.Clip`)."""

    video: str = Field(min_length=1, max_length=4096)
    """The file, below each side's own `dataset.root`."""
    video_id: str = Field(max_length=4096)
    content: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file, as the worker has read it."""
    start_s: float
    end_s: float
    frames: int = Field(ge=1, le=100_000)
    numbers: tuple[int, ...]
    crops: tuple[tuple[int, Box], ...] = ()

    @model_validator(mode="after")
    def _is_a_clip(self) -> ClipMessage:
        if list(self.numbers) != sorted(set(self.numbers)) or not set(self.numbers) <= set(range(self.frames)):
            raise ValueError("frame numbers ascend, and lie in the video")
        cropped = [number for number, _ in self.crops]
        if len(set(cropped)) < len(cropped) or not set(cropped) <= set(self.numbers):
            raise ValueError("a crop is of a frame of the clip")
        return self


class CallMessage(_Message):
    """One call."""

    seen: ClipMessage | None
    arguments: tuple[Any, ...]


class FindingsRequest(_Message):
    """Asks for the findings of calls of one method of one specialist (`POST /v1/findings`)."""

    subtask: str
    method: str
    model: str
    """As it was offered."""
    made_by: tuple[str, ...]
    calls: tuple[CallMessage, ...] = Field(min_length=1, max_length=MOST_CALLS)

    @model_validator(mode="after")
    def _is_a_method(self) -> FindingsRequest:
        if self.subtask not in SUBTASKS:
            raise ValueError("there is no such sub-task")
        if self.method not in SUBTASKS[self.subtask].methods:
            raise ValueError(f"{self.subtask} has no such method")
        method = SUBTASKS[self.subtask].methods[self.method]
        for call in self.calls:
            method.arguments.validate_python(call.arguments)
            if (call.seen is None) == method.takes_clip:
                raise ValueError("a clip is missing, or one too many")
        return self

    def given(self, call: CallMessage) -> tuple[Any, ...]:
        """What a call is given behind the clip."""
        arguments = SUBTASKS[self.subtask].methods[self.method].arguments
        given: tuple[Any, ...] = arguments.validate_python(call.arguments)
        return given


class FailureMessage(_Message):
    """Why there are no findings."""

    outcome: Outcome
    reason: str


class FindingsResponse(_Message):
    """The findings of a `FindingsRequest`, in the order of its calls, or why one of them failed."""

    findings: tuple[Any, ...] = ()
    failed: FailureMessage | None = None
    room: int | None = None
    """How many videos the specialist can keep what it made of, as far as it knows yet."""


def wire_settings(config: WeightsConfig) -> dict[str, Setting]:
    """What decides a specialist's findings, by setting."""
    found: dict[str, Setting] = {}
    for item in fields(config):
        if item.name not in _OWN:
            value = getattr(config, item.name)
            found[item.name] = value.value if isinstance(value, Enum) else value
    return found


def differences(subtask: str, wanted: Mapping[str, Setting], ours: Mapping[str, Setting]) -> list[str]:
    """What a worker wants and a server has otherwise, a text for each setting."""
    return [
        f"specialists.{subtask}.{name} is {_shown(ours.get(name))}, and those who ask have {_shown(wanted.get(name))}"
        for name in sorted({*wanted, *ours})
        if not _same(name, wanted.get(name), ours.get(name))
    ]


def _same(name: str, one: Setting | None, other: Setting | None) -> bool:
    if name in _PATHS and isinstance(one, str) and isinstance(other, str):
        return Path(one).name == Path(other).name
    return one == other


def _shown(value: Setting | None) -> str:
    return "unknown" if value is None else str(value)[:200] or "empty"
