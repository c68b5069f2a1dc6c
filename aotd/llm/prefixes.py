"""What prompts share at their beginning: its keys and values are computed once, and kept.

A prompt is read behind the longest beginning that it shares with one read before. Prompts asked in alphabetical order
make a tree so, of which each branch is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, each (rows, heads, tokens, width)."""

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

    def __init__(self, network: Any, budget: int = BUDGET) -> None:
        """`network` is one that `can_go_on`. The last prompt is kept whatever the budget."""
        self._network, self._budget = network, budget
        self._kept: list[_Read] = []
        """The one used last stands last."""
        self.computed = 0
        """Tokens that were not known, so far."""

    def past(self, rows: Sequence[list[int]], room: int) -> DynamicCache:
        """Keys and values of all tokens of each row but the last, padded with zeros on the left.

        Args:
            room: how many more tokens there will be for each row, the last one of these rows included.
        """
        # One after another: a row of some hundred tokens fills a processor, and is padded to no other row's length.
        read = [self._layers(row[:-1]) for row in rows]
        cache = DynamicCache()
        cache.layers.extend(_joined(read, max(len(row) for row in rows) - 1, room))
        return cache

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


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of a cache whose new tokens are written into room that is there.

    transformers' own copies all that is known at each token: behind 2,000 of them, a third of the time.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        """`keys` and `values` have room for more tokens than their first `length`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self._all, self._length = (keys, values), 0
        self._grow(length)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, new = self._length, (key_states, value_states)
        assert start + key_states.shape[2] <= self._all[0].shape[2], "more tokens than there is room for"
        for part, states in zip(self._all, new, strict=True):
            part[:, :, start : start + states.shape[2]] = states
        return self._grow(key_states.shape[2])

    def _grow(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        self._length += tokens
        keys, values = (part[:, :, : self._length] for part in self._all)
        self.keys, self.values = keys, values
        return keys, values


def _joined(rows: Sequence[Layers], longest: int, room: int) -> list[_Layer]:
    """The layers of all rows, padded with zeros on the left to `longest` tokens, with room on the right."""
    filled = [(at, row) for at, row in enumerate(rows) if row]
    layers = []
    for layer in range(len(filled[0][1]) if filled else 0):
        both = []
        for part in (0, 1):
            like = filled[0][1][layer][part]
            space = like.new_zeros((len(rows), like.shape[1], longest + room, like.shape[3]))
            for at, row in filled:
                tokens = row[layer][part]
                space[at, :, longest - tokens.shape[2] : longest] = tokens[0]
            both.append(space)
        layers.append(_Layer(both[0], both[1], longest))
    return layers


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return at
    return min(len(one), len(other))
