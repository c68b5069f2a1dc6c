"""The processes that train one student together, as torchrun or SLURM (`slurm/train.sbatch`) starts them.

torchrun --nproc-per-node 8 -m aotd distill ...
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from aotd.errors import UserError
from aotd.store.files import write_atomically
from aotd.store.shipped import shipped


def processes() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_launched() -> bool:
    """Whether a launcher started this process, be it the only one."""
    return "WORLD_SIZE" in os.environ


def is_first() -> bool:
    """Whether this is the one that writes what all share."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_alone(folder: Path) -> Iterator[bool]:
    """The first process does something while the others wait for it; they are told by a file, however long it takes.

    Yields True in the first process. If it fails, the launcher stops the others.
    """
    names = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID", "SLURM_RESTART_COUNT")
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


def wait_for_all() -> None:
    """Wait until every process has come here."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def leave_group() -> None:
    """Let go of the other processes once all is done."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def deepspeed_file(setting: str) -> Path:
    """The DeepSpeed configuration that `distill.deepspeed` names.

    Raises:
        UserError: there is no such file, or DeepSpeed is not installed.
    """
    path = shipped("configs") / "deepspeed" / f"{setting}.json" if setting.isalnum() else Path(setting)
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in (shipped("configs") / "deepspeed").glob("*.json")))
        raise UserError(f"distill.deepspeed={setting}: there is no such file; name one, or one of {known}")
    if find_spec("deepspeed") is None:
        raise UserError(f"distill.deepspeed={setting} needs the extra: pip install 'aotd[deepspeed]'")
    return path
