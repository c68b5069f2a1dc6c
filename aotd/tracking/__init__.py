"""Trackers of a run's numbers: none, or wandb (extra `wandb`). See `docs/tracking.md`.

    with open_tracker(config.tracking, run, "distill", "distill/aotd") as tracker:
        tracker.log({"label": 1.25})

wandb runs in a process of its own (`tracking.process`), so that the run goes on when wandb is late, broken or dead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from aotd.errors import UserError
from aotd.records import Detection
from aotd.store.run import Run
from aotd.video.clip import Pixels

KEY = "WANDB_API_KEY"


class TrackerName(str, Enum):
    none = "none"
    wandb = "wandb"


class TrackingMode(str, Enum):
    offline = "offline"
    online = "online"


@dataclass
class TrackingConfig:
    tracker: TrackerName = TrackerName.none
    project: str = "aotd"
    mode: TrackingMode = TrackingMode.offline
    """offline: into `wandb/` of the run's folder, for `wandb sync`; a compute node has no internet. online: at once."""


@dataclass(frozen=True)
class Picture:
    """A frame in a table, RGB `[height, width, 3]`, and boxes in its pixels."""

    pixels: Pixels
    boxes: tuple[Detection, ...] = ()


Cell = str | int | float | None | Picture


@dataclass(frozen=True)
class Artifact:
    """Files that were made, or that others were made of. The same files have the same digest, whoever tells of them."""

    name: str
    type: str
    files: Mapping[str, Path]
    """Name in the artifact -> file. They are not copied; `wandb sync` reads them."""
    references: Sequence[Path] = ()
    """Folders that are only named, such as a student's weights: neither read nor sent."""


class Tracker(Protocol):
    """No method waits or raises. What cannot be kept is left out, and `open_tracker` reports it at its end."""

    def log(self, values: Mapping[str, float | int]) -> None:
        """Record some numbers under their names, as of now."""
        ...

    def done(self, seconds: float) -> None:
        """Record what the job took, now that it is done."""
        ...

    def describe(self, values: Mapping[str, Any]) -> None:
        """Record what the run is made with, as JSON."""
        ...

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Record a table."""
        ...

    def artifact(self, artifact: Artifact, *, used: bool) -> None:
        """Record that an artifact was made, or `used` to make others."""
        ...


class NullTracker:
    """Keeps nothing."""

    def log(self, values: Mapping[str, float | int]) -> None:
        return

    def done(self, seconds: float) -> None:
        return

    def describe(self, values: Mapping[str, Any]) -> None:
        return

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        return

    def artifact(self, artifact: Artifact, *, used: bool) -> None:
        return


def check(config: TrackingConfig, run: Run) -> None:
    """Say before a job begins what would stop its tracking.

    Raises:
        UserError: the tracker's extra is not installed, or the run's folder holds settings of wandb's.
    """
    if config.tracker is not TrackerName.wandb:
        return
    if find_spec("wandb") is None:
        raise UserError("tracking.tracker=wandb needs the extra: pip install 'aotd[wandb]'")
    for path in (run.folder / "wandb" / "settings", run.folder / ".wandb"):
        if path.exists():  # a stranger's run could have the key sent to a server of theirs
            raise UserError(f"{path}: wandb would take its settings from there, and a run holds none: delete it")


def run_name(run: Run) -> str:
    """The folder's name, as a name of wandb's; of a shard, with that of the run it belongs to."""
    folder, whole = run.folder.resolve(), run.whole.folder
    name = folder.name if whole == folder else f"{whole.name}-{folder.name}"
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:80] or "run"


def group_name(run: Run) -> str:
    """The name of the run; of a shard, that of the whole."""
    return run_name(run.whole)


_key: str | None = None
"""wandb's key, once it has been taken out of the environment."""


def take_key(given: str | None = None) -> str | None:
    """Take wandb's key out of the environment: no process that is started from now on gets it, but for the tracker's.

    Args:
        given: what this gave in the process that started this one.

    Returns:
        The key, None where there is none.
    """
    global _key
    _key = os.environ.pop(KEY, None) or given or _key
    return _key
