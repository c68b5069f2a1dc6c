"""Linear layers whose weights lie in memory as oneDNN multiplies by them, for models that are asked on a CPU.

torch multiplies float32 on a CPU by MKL, which takes the short vector instructions where the processor is not one of
Intel's, lays the weights out anew for each product, and rounds a row otherwise beside more rows. oneDNN, which comes
with torch, takes the longest instructions that are there, and here the weights are laid out once; its rows do not
depend on each other. It computes without gradients.
"""

from __future__ import annotations

import platform
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_ROWS = 256
"""For how many rows the weights are laid out; it takes any number."""


class PackedLinear(nn.Module):
    """A linear layer of float32 on a CPU."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        # Its type and shape, for those who ask; the values are in memory once.
        self.weight = nn.Parameter(layer.weight.to("meta"), requires_grad=False)
        self.bias = layer.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().contiguous(), _ROWS)

    def forward(self, rows: Tensor) -> Tensor:
        """`[..., in_features]` -> `[..., out_features]`."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
        return made


def pack(model: ModuleT) -> ModuleT:
    """A model whose linear layers are packed, itself; where this is no CPU that oneDNN knows well, as it was.

    It stays where it is and in its type from then on. Left alone are layers in another type, those of another class
    (bitsandbytes'), and those that share their weights with another layer, which would be in memory twice.
    """
    if not _can():
        return model
    shared = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    for owner in list(model.modules()):
        for name, layer in list(owner.named_children()):
            if type(layer) is nn.Linear and _fits(layer.weight) and shared[id(layer.weight)] == 1:
                setattr(owner, name, PackedLinear(layer))
    return model


def _can() -> bool:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    there = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    return there and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _fits(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype is torch.float32
