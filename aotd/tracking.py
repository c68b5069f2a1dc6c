"""Where a run's numbers go while it runs: nowhere, or to wandb (extra `wandb`; `WANDB_MODE=offline` works)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import Any, Protocol

from aotd.errors import UserError


class TrackerName(str, Enum):
    none = "none"
    wandb = "wandb"


@dataclass
class TrackingConfig:
    tracker: TrackerName = TrackerName.none
    project: str = "aotd"


class Tracker(Protocol):
    def log(self, values: Mapping[str, float | int]) -> None:
        """Record some numbers under their names."""
        ...

    def finish(self) -> None: ...


class NullTracker:
    """Keeps nothing."""

    def log(self, values: Mapping[str, float | int]) -> None:
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
