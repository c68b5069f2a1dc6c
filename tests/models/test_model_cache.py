from __future__ import annotations

import pytest
import torch

from aotd.errors import UserError
from aotd.models import Precision
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import dtype_of

GIB = 2**30


def test_a_model_is_loaded_once_and_kept() -> None:
    shelf, loads = ModelCache(), []
    for _ in range(3):
        assert shelf.take("a", 5 * GIB, lambda: loads.append("a") or "A") == "A"
    assert loads == ["a"]


def test_the_model_idle_longest_makes_room() -> None:
    shelf, loads = ModelCache(budget_gb=3), []

    def take(name: str) -> None:
        shelf.take(name, GIB, lambda: loads.append(name))

    for name in ("a", "b", "c", "a", "d", "a", "c"):
        take(name)
    assert loads == ["a", "b", "c", "d"], "d took the place of b"
    take("b")
    assert loads[-1] == "b"


def test_a_model_larger_than_the_budget_is_refused_by_name() -> None:
    shelf = ModelCache(budget_gb=1)
    with pytest.raises(UserError, match=r"memory_gb: llava takes 14\.0 GiB by itself, and 1\.0 are allowed"):
        shelf.take("llava", 14 * GIB, lambda: None)


def test_precision_names_a_type() -> None:
    assert dtype_of(Precision.bfloat16) is torch.bfloat16
    assert dtype_of(Precision.auto) is (torch.bfloat16 if torch.cuda.is_available() else torch.float32)
    assert dtype_of(Precision.int4) is torch.bfloat16
