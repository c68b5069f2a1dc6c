"""The loop of a stage: AdamW under a cosine, and checkpoints from which it goes on exactly.

A step depends on its number and on the weights before it. So a checkpoint holds the weights and the optimizer's means,
as safetensors, and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, first_line
from aotd.runtime.progress import bars_are_shown, console
from aotd.runtime.signals import check, listening, patience, stopping
from aotd.store.files import Shard, whole_file, write_atomically
from aotd.store.tensors import tensor_errors

_WARM_STEPS, _FLOOR, _CLIP = 100, 0.05, 1.0
"""Steps until the full learning rate; what is left of it at the end, as a share; the largest norm of a gradient."""


@dataclass(frozen=True)
class StageSchedule:
    """How a stage is trained."""

    steps: int
    learning_rate: float
    save_steps: int
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / _WARM_STEPS) * (_FLOOR + (1 - _FLOOR) * cosine)


def train(
    title: str, module: nn.Module, schedule: StageSchedule, losses: Callable[[int], Mapping[str, Tensor]], folder: Path
) -> None:
    """Train a module in place, from the newest checkpoint in its folder on. The same arguments give the same weights.

    Args:
        losses: gives the terms of a step's loss, by the step's number.
        folder: gets `losses.jsonl`, one line a step, and while it is trained `checkpoint.safetensors`.

    Raises:
        Stopped: a signal has come; a checkpoint holds what was done.
        UserError: a checkpoint that is damaged, or a disk that takes none.
    """
    named = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(
        named.values(), lr=schedule.learning_rate, betas=schedule.betas, weight_decay=schedule.weight_decay
    )
    checkpoint = folder / "checkpoint.safetensors"
    first = _resume(named, optimizer, checkpoint)
    module.train(True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        closing(_open_log(folder / "losses.jsonl", first)) as log,
        Progress(*columns, console=console, disable=not bars_are_shown()) as bars,
        listening(),
        patience(),
    ):
        bar = bars.add_task(title, total=schedule.steps, completed=first)
        for step in range(first, schedule.steps):
            terms = losses(step)
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(named.values(), _CLIP)
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            optimizer.step()
            line = {"step": step + 1, **{name: round(term.item(), 5) for name, term in terms.items()}}
            log.add(json.dumps(line).encode() + b"\n")
            bars.update(bar, completed=step + 1)
            due = schedule.save_steps and (step + 1) % schedule.save_steps == 0 and step + 1 < schedule.steps
            if stopping() or due:
                log.sync()
                _save(named, optimizer, checkpoint, step + 1)
            if stopping():
                break
        check()
    module.train(False)


def _open_log(path: Path, lines: int) -> Shard:
    """Go on behind the lines of the steps until the checkpoint."""
    written = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    write_atomically(path, "".join(f"{line}\n" for line in written[:lines]))
    return Shard(path)


_MEANS = ("exp_avg", "exp_avg_sq")


def _save(named: Mapping[str, Tensor], optimizer: torch.optim.AdamW, path: Path, step: int) -> None:
    tensors = {name: weight.detach() for name, weight in named.items()}
    for name, weight in named.items():
        tensors |= {f"{mean}.{name}": optimizer.state[weight][mean] for mean in _MEANS}
    with whole_file(path, named=False) as partial, tensor_errors(path):
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, {"step": str(step)})


def _resume(named: Mapping[str, Tensor], optimizer: torch.optim.AdamW, path: Path) -> int:
    """Put a checkpoint's weights and means in place; return after how many steps it was written."""
    if not path.is_file():
        return 0
    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            step = int((file.metadata() or {})["step"])
        for name, weight in named.items():
            with torch.no_grad():
                weight.copy_(tensors[name])
            means = {mean: torch.empty_like(weight).copy_(tensors[f"{mean}.{name}"]) for mean in _MEANS}
            optimizer.state[weight] = {"step": torch.tensor(float(step)), **means}
    except (*COMPLAINTS, SafetensorError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): delete it, and its stage begins again") from None
    return step
