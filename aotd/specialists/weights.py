"""Models that hold weights: loaded on first use, in the precision asked for, within a memory budget.

    detector = shelf.take("owlv2 /models/owlv2", size, load)

The agent needs four or five models, seldom all at once. A `Shelf` keeps those used last and lets go of
the one that was idle longest when the next would not fit; a model that was let go is loaded again when
it is asked for.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from aotd.errors import UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class Precision(str, Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"
    int4 = "int4"


@dataclass
class WeightsConfig:
    """A model with weights. Specialists without any (playroom, captions, mock) read none of this."""

    model: str = ""
    """Local folder or hub id, in the architecture's own format (safetensors)."""
    precision: Precision = Precision.auto
    """auto: bfloat16 on a GPU, float32 on a CPU. int8 and int4 want a GPU and the extra `bits`."""
    batch: int = 8
    """Pictures or prompts that go through it at once; the findings do not depend on it."""


def device() -> torch.device:
    """Where models run: the first GPU, or the CPU where there is none."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_of(precision: Precision) -> torch.dtype:
    """The type in which a model computes; that of int8 and int4 is bfloat16."""
    import torch

    if precision is Precision.auto:
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    if precision in (Precision.int8, Precision.int4):
        return torch.bfloat16
    found = getattr(torch, precision.value)
    assert isinstance(found, torch.dtype)
    return found


class Shelf:
    """The models that are in memory, within a budget."""

    def __init__(self, budget_gb: float = 0.0) -> None:
        """`budget_gb`: GiB that weights may take together; 0 is no limit."""
        self._budget = int(budget_gb * 2**30)
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def take(self, key: str, size: int, load: Callable[[], T]) -> T:
        """A model, loaded if it is not there.

        Args:
            key: what tells it from other models: family, folder and precision.
            size: bytes of its weights.

        Raises:
            UserError: it alone is larger than the budget.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            found: T = self._kept[key][1]
            return found
        if self._budget and size > self._budget:
            raise UserError(
                f"specialists.memory_gb: {key} takes {size / 2**30:.1f} GiB by itself, and "
                f"{self._budget / 2**30:.1f} are allowed: raise it, or set a lower precision for that model"
            )
        while self._budget and self._kept and self._taken() + size > self._budget:
            self._kept.popitem(last=False)
            _give_back()
        model = load()
        self._kept[key] = (size, model)
        return model

    def _taken(self) -> int:
        return sum(size for size, _ in self._kept.values())


def _give_back() -> None:
    """Return what a model took, on a GPU to the driver as well."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
