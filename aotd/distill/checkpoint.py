"""Checkpoints of a training: which one is whole, and leaving in time when told to go."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from aotd.store import write_atomically

WHOLE = "whole"
"""File that is written into a checkpoint's folder when everything else in it is."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What SLURM (and others) send some time before they kill."""


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a training."""
    whole = [path.parent for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{WHOLE}")]
    return max(whole, key=step_of, default=None)


def sweep(folder: Path) -> None:
    """Throw away what a killed process has left of a checkpoint."""
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if not (path / WHOLE).is_file():
            shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """After how many steps it was written."""
    return int(checkpoint.name.rpartition("-")[2])


class KeepNewest(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Says that a checkpoint is whole once every process has written its part, and then removes older ones."""

    def __init__(self, folder: Path, wait_for_everyone: Any) -> None:
        self._folder, self._wait = folder, wait_for_everyone

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._wait()
        if not state.is_world_process_zero:
            return
        current = self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        write_atomically(current / WHOLE, f"{state.global_step}\n")
        for path in self._folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
            if path != current:
                shutil.rmtree(path)


class Told:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def to_leave(self) -> bool:
        return self.signal is not None

    def hear(self, number: int, _: Any = None) -> None:
        self.signal = number


@contextmanager
def listening() -> Iterator[Told]:
    """Hear SIGTERM and SIGUSR1 instead of dying of them. Only a main thread can; elsewhere nothing is heard."""
    told = Told()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {number: signal.signal(number, told.hear) for number in SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
