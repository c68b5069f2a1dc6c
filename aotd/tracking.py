"""Where a run's numbers go while it runs: nowhere, or to wandb (extra `wandb`; `WANDB_MODE=offline` works)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from aotd.errors import UserError
from aotd.video.clip import Pixels


class TrackerName(str, Enum):
    none = "none"
    wandb = "wandb"


@dataclass
class TrackingConfig:
    tracker: TrackerName = TrackerName.none
    project: str = "aotd"


@dataclass(frozen=True)
class Sample:
    """A question and what a student said to it."""

    frames: Pixels
    """A few frames of its video, RGB `[frames, height, width, 3]`."""
    question: str
    answer: str
    """The true one."""
    reply: str
    rationale: str


class Tracker(Protocol):
    def log(self, values: Mapping[str, float | int]) -> None:
        """Record some numbers under their names."""
        ...

    def samples(self, rows: Sequence[Sample]) -> None:
        """Record questions with their frames and replies, to be looked at."""
        ...

    def finish(self) -> None: ...


class NullTracker:
    """Keeps nothing."""

    def log(self, values: Mapping[str, float | int]) -> None:
        return

    def samples(self, rows: Sequence[Sample]) -> None:
        return

    def finish(self) -> None:
        return


class WandbTracker:
    """One wandb run per verb, grouped by the run folder."""

    def __init__(self, config: TrackingConfig, run: str, verb: str) -> None:
        check(config)
        import wandb

        self._run: Any = wandb.init(project=config.project, group=run, job_type=verb, name=f"{run}/{verb}")

    def log(self, values: Mapping[str, float | int]) -> None:
        self._run.log(dict(values))

    def samples(self, rows: Sequence[Sample]) -> None:
        import wandb

        pictures = []
        for row in rows:
            said = f"{row.question}\n\ntrue: {row.answer}\nreply: {row.reply}\nrationale: {row.rationale}"
            pictures.append(wandb.Image(np.concatenate(list(row.frames), axis=1), caption=said))
        self._run.log({"samples": pictures})

    def finish(self) -> None:
        self._run.finish()


def check(config: TrackingConfig) -> None:
    """Say before a job begins what would stop it at its end.

    Raises:
        UserError: the tracker's extra is not installed.
    """
    if config.tracker is TrackerName.wandb and find_spec("wandb") is None:
        raise UserError("tracking.tracker=wandb needs the extra: pip install 'aotd[wandb]'")


def open_tracker(config: TrackingConfig, run: str, verb: str) -> Tracker:
    """The tracker a config names.

    Raises:
        UserError: its extra is not installed.
    """
    return WandbTracker(config, run, verb) if config.tracker is TrackerName.wandb else NullTracker()
