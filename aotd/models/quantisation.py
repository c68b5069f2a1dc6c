"""The precision that weights are held in, quantised or not, and how many bytes they take before they are loaded.

bitsandbytes holds linear layers in 8 or 4 bits, where nearly all weights are. Of a Video-LLM these are the language
model's: tower, projector, embeddings and head stay in bfloat16.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from aotd.errors import UserError
from aotd.models import QUANTISED, Precision

_INT4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of one weight: half a byte, a byte of scale for 64 of them, and a float32 for 256 of these scales."""


def device() -> torch.device:
    """Return where models run: the first GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_of(precision: Precision) -> torch.dtype:
    """Return the type in which a model computes; that of int8 and int4 is bfloat16."""
    if precision is Precision.auto:
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    if precision in QUANTISED:
        return torch.bfloat16
    dtype = getattr(torch, precision.value)
    assert isinstance(dtype, torch.dtype)
    return dtype


def precision_name(precision: Precision) -> str:
    """Name what most weights are held in on this machine: `bfloat16`, `int8` and so on; never `auto`."""
    return precision.value if precision in QUANTISED else str(dtype_of(precision)).removeprefix("torch.")


def check_quantisation(precision: Precision, setting: str) -> None:
    """Check that this machine can hold weights in a precision.

    Raises:
        UserError: no GPU, or the extra is not installed.
    """
    if precision not in QUANTISED:
        return
    if not torch.cuda.is_available():
        raise UserError(f"{setting}={precision.value} needs a GPU, and none is there: set it to auto")
    if find_spec("bitsandbytes") is None:
        raise UserError(f"{setting}={precision.value} needs the extra: pip install 'aotd[bits]'")


def refuse_quantisation(precision: Precision, setting: str, name: str) -> None:
    """Refuse int8 and int4 for a model that cannot be quantised.

    Raises:
        UserError: it is one of the two.
    """
    if precision in QUANTISED:
        raise UserError(f"{setting}={precision.value}: {name} takes float32, bfloat16 or float16")


def quantisation_config(precision: Precision, whole: Collection[str] = ()) -> Any:
    """Return transformers' configuration of a quantised model; None for a plain precision.

    Args:
        whole: names of the modules that are not quantised; without any, transformers decides.
    """
    if precision not in QUANTISED:
        return None
    from transformers import BitsAndBytesConfig

    skip = list(whole) or None
    if precision is Precision.int8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skip)  # type: ignore[no-untyped-call]
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=skip,
    )


def linear_outside(model: nn.Module, part: nn.Module) -> list[str]:
    """Name the linear layers of a model that are not in one part of it."""
    inside = {id(layer) for layer in part.modules()}
    return [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and id(layer) not in inside]


def weights_bytes(model: nn.Module, precision: Precision, whole: Collection[str] = ()) -> int:
    """Count the bytes that a model's weights take in a precision.

    Args:
        model: an empty one on the meta device will do.
        whole: as for `quantisation_config`.
    """
    width = dtype_of(precision).itemsize
    plain = sum(weight.numel() for weight in model.parameters()) * width
    if precision not in QUANTISED:
        return plain
    quantised = [
        layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and not any(name == one or name.startswith(f"{one}.") for one in whole)
    ]
    count = sum(weight.numel() for weight in quantised)
    if precision is Precision.int4:
        return plain - count * width + round(count * _INT4_BYTES)
    scales = sum(weight.shape[0] for weight in quantised) * 4
    return plain - count * width + count + scales


def stored_bytes(count: int, precision: Precision) -> int:
    """Estimate the bytes of `count` weights of which nothing else is known."""
    width = {Precision.int8: 1.0, Precision.int4: _INT4_BYTES}.get(precision) or dtype_of(precision).itemsize
    return int(count * width)
