"""Weights in 8 or 4 bits (bitsandbytes), and how many bytes a model's weights take before they are loaded.

Only the linear layers of the language model are held in fewer bits, where nearly all weights are. Tower,
projector, embeddings and head stay in bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from aotd.models.loading import FEW_BITS, Precision, dtype_of

_INT4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of one weight: half a byte, a byte of scale for 64 of them, and a float32 for 256 of these scales."""


def bits_settings(precision: Precision, model: nn.Module, language_model: nn.Module) -> Any:
    """How transformers is told; None where the precision is a plain one.

    Args:
        model: an empty one on the meta device.
        language_model: the part of it whose linear layers are held in fewer bits.
    """
    if precision not in FEW_BITS:
        return None
    from transformers import BitsAndBytesConfig

    few = {id(layer) for layer in _linear(language_model)}
    whole = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and id(layer) not in few]
    if precision is Precision.int8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=whole)  # type: ignore[no-untyped-call]
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=whole,
    )


def weights_bytes(precision: Precision, model: nn.Module, language_model: nn.Module) -> int:
    """Bytes that a model's weights take in a precision; the arguments as in `bits_settings`."""
    plain = dtype_of(precision).itemsize
    whole = sum(weight.numel() for weight in model.parameters()) * plain
    if precision not in FEW_BITS:
        return whole
    few = [layer.weight for layer in _linear(language_model)]
    count = sum(weight.numel() for weight in few)
    if precision is Precision.int4:
        return whole - count * plain + round(count * _INT4_BYTES)
    scales = sum(weight.shape[0] for weight in few) * 4
    return whole - count * plain + count + scales


def _linear(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
