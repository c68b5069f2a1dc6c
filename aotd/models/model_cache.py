"""Models in memory: loaded on first use, within a memory budget.

    detector = models.take("owlv2 /models/owlv2", size, load)

The agent needs four or five models, seldom all at once. A `ModelCache` keeps those used last and drops the least
recently used one when the next would not fit; a model that was dropped is loaded again when it is asked for.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

from cachetools import LRUCache

from aotd.errors import UserError
from aotd.models.load_lock import MODEL_LOCK
from aotd.runtime.meter import loading

T = TypeVar("T")


class ModelCache:
    """The models that are in memory: an LRU cache within a budget of bytes.

    Threads may share it where it has no budget, and no two of them take one model.
    """

    def __init__(self, budget_gb: float = 0.0) -> None:
        """`budget_gb`: GiB that weights may take together; 0 is no limit."""
        self._budget = int(budget_gb * 2**30)
        self._loaded: LRUCache[str, tuple[int, Any]] = LRUCache(self._budget or math.inf, lambda entry: entry[0])
        self._dropped: set[str] = set()

    def take(self, key: str, size: int, load: Callable[[], T]) -> T:
        """Return a model, and load it if it is not there.

        Args:
            key: what tells it from other models: family, folder and precision.
            size: bytes of its weights.

        Raises:
            UserError: it alone is larger than the budget.
        """
        if key in self._loaded:
            model: T = self._loaded[key][1]
            return model
        if self._budget and size > self._budget:
            raise UserError(
                f"specialists.memory_gb: {key} takes {size / 2**30:.1f} GiB by itself, and "
                f"{self._budget / 2**30:.1f} are allowed: raise it, or set a lower precision for that model"
            )
        # Room is made before the next one is loaded, so that both never lie in memory together.
        while self._loaded and self._loaded.currsize + size > self._loaded.maxsize:
            self._dropped.add(self._loaded.popitem()[0])
            _free_memory()
        # Loading is no question's time, but loading again is the price of a small budget.
        with MODEL_LOCK.write(), nullcontext() if key in self._dropped else loading():
            model = load()
        self._loaded[key] = (size, model)
        return model


def _free_memory() -> None:
    """Return what a model took, on a GPU to the driver as well."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
