"""Checkpoints of a training, and which one is whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from aotd.store.files import sync, sync_tree, write_atomically

WHOLE = "whole"
"""File that is written into a checkpoint's folder when everything else in it is."""


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
    """Says that a checkpoint is whole once every process has its part on the disk, and then removes older ones."""

    def __init__(self, folder: Path, wait_for_everyone: Any, losses: Path) -> None:
        """`losses` holds a line for every step until then; a training that goes on keeps them."""
        self._folder, self._wait, self._losses = folder, wait_for_everyone, losses

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        current = self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        sync_tree(current)
        self._wait()
        if not state.is_world_process_zero:
            return
        sync(self._losses)
        write_atomically(current / WHOLE, f"{state.global_step}\n")
        for path in self._folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
            if path != current:
                shutil.rmtree(path)
