"""The processes that train one student together, as torchrun (or SLURM, through it) starts them.

torchrun --nproc-per-node 8 -m aotd.cli distill ...
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aotd.store import write_atomically


def processes() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the one that writes what all share."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_alone(folder: Path) -> Iterator[bool]:
    """The first process does something while the others wait for it; they are told by a file, however long it takes.

    Yields True in the first process. If it fails, the launcher stops the others.
    """
    names = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    launch = "-".join(os.environ.get(name, "") for name in names)
    ready = folder / f".ready-{launch}"
    if is_first():
        yield True
        if processes() > 1:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(ready, "")
        return
    while not ready.exists():
        time.sleep(0.2)
    yield False
