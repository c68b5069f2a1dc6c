"""What prompts share at their beginning: its keys and values are computed once, and kept.

A prompt is read behind the longest beginning that it shares with one read before. Prompts asked in alphabetical order
make a tree so, of which each branch is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from aotd.models.kv_cache import Layers, OtherKeysError, side_by_side, use_attend

BUDGET = 2**30
"""Bytes of keys and values that are kept: ten prompts of 2,000 tokens or so, for a model of 1.5 billion parameters in
float32 or one of 7 billion in bfloat16."""


@dataclass(frozen=True)
class _Read:
    tokens: list[int]
    layers: Layers

    @property
    def size(self) -> int:
        return sum(part.numel() * part.element_size() for layer in self.layers for part in layer)


class Prefixes:
    """The keys and values of the prompts that a network has read last."""

    def __init__(self, network: Any, budget: int = BUDGET, *, once: bool = False) -> None:
        """Args:
        network: one that `can_go_on`.
        budget: the last prompt is kept whatever it is.
        once: whether what the rows of a batch begin with is held once for all of them (`reads_once`).
        """
        self._network, self._budget, self._once = network, budget, once
        self._kept: list[_Read] = []
        """The one used last stands last."""
        self.computed = 0
        """Tokens that were not known, so far."""

    def past(self, rows: Sequence[list[int]], room: int) -> tuple[DynamicCache, int]:
        """Keys and values of all tokens of each row but the last, and how many first tokens are held once.

        Behind those, shorter rows are padded with zeros on the left.

        Args:
            room: how many more tokens there will be for each row, the last one of these rows included.
        """
        # One after another: a row of some hundred tokens fills a processor, and is padded to no other row's length.
        read = [self._layers(row[:-1]) for row in rows]
        alike = len(reduce(_beginning, (row[:-1] for row in rows))) if self._once else 0
        cache = DynamicCache()
        cache.layers.extend(side_by_side(read, alike, max(len(row) for row in rows) - 1, room))
        return cache, alike

    def _layers(self, tokens: list[int]) -> Layers:
        """Keys and values of one row; what is new in it is read, and all of it kept."""
        if not tokens:
            return []
        shared = [_common(kept.tokens, tokens) for kept in self._kept]
        nearest = max(range(len(shared)), key=shared.__getitem__, default=None)
        known = shared[nearest] if nearest is not None else 0
        layers: Layers = []
        if nearest is not None and known:
            # Moved to the end: used last.
            self._kept.append(self._kept.pop(nearest))
            layers = [(keys[:, :, :known], values[:, :, :known]) for keys, values in self._kept[-1].layers]
        if known < len(tokens):
            cache = DynamicCache(layers or None)
            ids = torch.tensor([tokens[known:]], device=self._network.device)
            # The scores of a prompt's tokens are not asked for, and those of a large vocabulary take much memory.
            self._network.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
            self.computed += len(tokens) - known
            layers = [(keys, values) for keys, values, _ in cache]
            self._keep(_Read(tokens, layers))
        return layers

    def _keep(self, read: _Read) -> None:
        # One that the new one begins with is known from it.
        self._kept = [kept for kept in self._kept if _common(kept.tokens, read.tokens) < len(kept.tokens)]
        self._kept.append(read)
        while len(self._kept) > 1 and sum(kept.size for kept in self._kept) > self._budget:
            del self._kept[0]


def can_go_on(network: Any) -> bool:
    """Whether a network can be given the keys and values of any beginning of a text, and go on from there.

    Not where a cache holds something else than one key and value per token (recurrent and convolutional layers), or
    the last ones only (sliding windows); and not where a token's place is turned by how long the text is.
    """
    if not alike_in_company(network):
        return False
    with torch.inference_mode():
        out = network.base_model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=network.device), use_cache=True)
    cache = getattr(out, "past_key_values", None)
    return type(cache) is DynamicCache and all(
        type(layer) is DynamicLayer and layer.get_seq_length() == 1 for layer in cache.layers
    )


def alike_in_company(network: Any) -> bool:
    """Whether a row of a batch is, but for rounding, what it is alone.

    Not where rotary embeddings turn all rows by the length of the longest one (dynamic NTK, LongRoPE).
    """
    kinds = [getattr(module, "rope_type", "") for module in network.modules()]
    named = {name for kind in kinds for name in (kind.values() if isinstance(kind, dict) else [kind])}
    return not any("dynamic" in name or name == "longrope" for name in named)


def reads_once(network: Any) -> bool:
    """Whether a network that `can_go_on` reads the same where what rows begin with is held once; from then on it does.

    It is tried out: an architecture may do something of its own to keys and values.
    """
    if not use_attend(network):
        return False
    try:
        together, alone = _tried(network)
        same = bool(torch.isclose(together, alone, rtol=0, atol=1e-4 * float(alone.abs().max())).all())
    except OtherKeysError:
        same = False
    if not same:
        network.set_attn_implementation("sdpa")
    return same


@torch.inference_mode()
def _tried(network: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores behind two rows that begin alike, side by side and each alone: (rows, tokens) twice."""
    how = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True, pad_token_id=0
    )

    def scores(rows: list[list[int]], seen: list[list[int]], **known: Any) -> torch.Tensor:
        ids, mask = (torch.tensor(one, device=network.device) for one in (rows, seen))
        made: torch.Tensor = network.generate(ids, attention_mask=mask, generation_config=how, **known).logits[0]
        return made

    one, other = [0, 1, 0, 1, 1, 0], [0, 1, 0, 0]
    cache, alike = Prefixes(network, once=True).past([one, other], room=1)
    assert alike == 3
    together = scores([one, [0, 1, 0, 0, 0, 0]], [[1] * 6, [1, 1, 1, 0, 0, 1]], past_key_values=cache)
    return together, torch.cat([scores([row], [[1] * len(row)]) for row in (one, other)])


def _beginning(one: list[int], other: list[int]) -> list[int]:
    return one[: _common(one, other)]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return at
    return min(len(one), len(other))
