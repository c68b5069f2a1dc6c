"""Packed layers compute what plain ones do, and no row depends on another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aotd.models.cpu import linear
from aotd.models.cpu.linear import PackedLinear, pack

needed = pytest.mark.skipif(not linear._can(), reason="oneDNN does not pack here")


def layer(columns: int = 96, rows: int = 40, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(columns, rows, bias=bias).requires_grad_(False)


@needed
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1,), (0,), (), (2, 5), (3, 1, 4)])
def test_a_packed_layer_computes_what_the_plain_one_does(shape: tuple[int, ...], bias: bool) -> None:
    plain = layer(bias=bias)
    rows = torch.randn(*shape, 96)
    found = PackedLinear(plain)(rows)
    assert found.shape == (*shape, 40)
    torch.testing.assert_close(found, plain(rows), rtol=1e-5, atol=1e-5)


@needed
def test_rows_may_lie_anywhere_in_memory() -> None:
    plain, rows = layer(), torch.randn(96, 9).T
    assert not rows.is_contiguous()
    torch.testing.assert_close(PackedLinear(plain)(rows), plain(rows), rtol=1e-5, atol=1e-5)


@needed
def test_a_row_is_the_same_bits_beside_any_others() -> None:
    one, rows = PackedLinear(layer(256, 1024)), torch.randn(1028, 256)
    together = one(rows)
    for count in (1, 2, 3, 31, 257, 1000):
        assert torch.equal(one(rows[:count]), together[:count])
        assert torch.equal(one(rows[-count:]), together[-count:])


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 96)
        self.inner = nn.Sequential(layer(96, 96), nn.ReLU(), layer(96, 96).bfloat16())
        self.told = nn.modules.linear.NonDynamicallyQuantizableLinear(96, 8)
        self.head = nn.Linear(96, 40, bias=False)
        self.head.weight = self.words.weight

    def forward(self, rows: Tensor) -> Tensor:
        return self.inner[0](rows)  # type: ignore[no-any-return]


@needed
def test_what_fits_is_packed_and_the_rest_left_alone() -> None:
    model = Model()
    rows, first = torch.randn(3, 96), model.inner[0]
    wanted = functional.linear(rows, first.weight, first.bias)
    pack(model)
    kinds = [type(part) for part in (model.inner[0], model.inner[2], model.told, model.head)]
    assert kinds == [PackedLinear, nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear, nn.Linear]
    assert model.head.weight is model.words.weight
    torch.testing.assert_close(model(rows), wanted, rtol=1e-5, atol=1e-5)
    # The weights are in memory once, and what asks for their type is told.
    assert model.inner[0].weight.device.type == "meta"
    assert model.inner[0].weight.dtype is torch.float32


def test_nothing_is_packed_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear.platform, "machine", lambda: "arm64")
    model = Model()
    pack(model)
    assert not any(isinstance(part, PackedLinear) for part in model.modules())
