"""Prefix cache: keys and values of the prefixes that prompts share are computed once.

A prompt is computed behind the longest prefix that it shares with a cached one. Prompts in alphabetical order form a
tree, of which each branch is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from aotd.models.common_prefix import common_prefix_length
from aotd.models.kv_cache import LostPrefixError, PastKeyValues, batch_layers, use_shared_prefix_attention

BUDGET = 2**30
"""Bytes of keys and values that are kept: ten prompts of 2,000 tokens or so, for a model of 1.5 billion parameters in
float32 or one of 7 billion in bfloat16."""


@dataclass(frozen=True)
class _CachedPrompt:
    tokens: list[int]
    layers: PastKeyValues

    @property
    def size(self) -> int:
        return sum(part.numel() * part.element_size() for layer in self.layers for part in layer)


class PrefixCache:
    """LRU cache of the keys and values of the prompts that a network has computed."""

    def __init__(self, network: Any, budget: int = BUDGET, *, share: bool = False) -> None:
        """Args:
        network: one that `supports_prefix_cache`.
        budget: the last prompt is kept whatever it is.
        share: whether the rows of a batch hold their common prefix once (`enable_shared_prefix`).
        """
        self._network, self._budget, self._share = network, budget, share
        self._cached: list[_CachedPrompt] = []
        """Least recently used first."""
        self.computed = 0
        """Tokens computed so far."""

    def past(self, rows: Sequence[list[int]], room: int) -> tuple[DynamicCache, int]:
        """Keys and values of all tokens of each row but the last, and how many first tokens are held once.

        Behind those, shorter rows are padded with zeros on the left.

        Args:
            room: how many more tokens there will be for each row, the last one of these rows included.
        """
        # One after another: a row of some hundred tokens fills a processor, and is padded to no other row's length.
        read = [self._layers(row[:-1]) for row in rows]
        shared = common_prefix_length([row[:-1] for row in rows]) if self._share else 0
        cache = DynamicCache()
        cache.layers.extend(batch_layers(read, shared, max(len(row) for row in rows) - 1, room))
        return cache, shared

    def _layers(self, tokens: list[int]) -> PastKeyValues:
        """Keys and values of one row; what is new in it is read, and all of it kept."""
        if not tokens:
            return []
        shared = [common_prefix_length([cached.tokens, tokens]) for cached in self._cached]
        nearest = max(range(len(shared)), key=shared.__getitem__, default=None)
        known = shared[nearest] if nearest is not None else 0
        layers: PastKeyValues = []
        if nearest is not None and known:
            # Moved to the end: used last.
            self._cached.append(self._cached.pop(nearest))
            layers = [(keys[:, :, :known], values[:, :, :known]) for keys, values in self._cached[-1].layers]
        if known < len(tokens):
            cache = DynamicCache(layers or None)
            ids = torch.tensor([tokens[known:]], device=self._network.device)
            # The scores of a prompt's tokens are not asked for, and those of a large vocabulary take much memory.
            self._network.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
            self.computed += len(tokens) - known
            layers = [(keys, values) for keys, values, _ in cache]
            self._put(_CachedPrompt(tokens, layers))
        return layers

    def _put(self, prompt: _CachedPrompt) -> None:
        # A prompt that is a prefix of the new one is cached with it.
        self._cached = [
            cached
            for cached in self._cached
            if common_prefix_length([cached.tokens, prompt.tokens]) < len(cached.tokens)
        ]
        self._cached.append(prompt)
        while len(self._cached) > 1 and sum(cached.size for cached in self._cached) > self._budget:
            del self._cached[0]


def supports_prefix_cache(network: Any) -> bool:
    """Whether a network can be given the keys and values of any beginning of a text, and go on from there.

    Not where a cache holds something else than one key and value per token (recurrent and convolutional layers), or
    the last ones only (sliding windows); and not where a token's place is turned by how long the text is.
    """
    if not is_batch_invariant(network):
        return False
    with torch.inference_mode():
        out = network.base_model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=network.device), use_cache=True)
    cache = getattr(out, "past_key_values", None)
    return type(cache) is DynamicCache and all(
        type(layer) is DynamicLayer and layer.get_seq_length() == 1 for layer in cache.layers
    )


def is_batch_invariant(network: Any) -> bool:
    """Whether a row of a batch is, but for rounding, what it is alone.

    Not where rotary embeddings turn all rows by the length of the longest one (dynamic NTK, LongRoPE).
    """
    kinds = [getattr(module, "rope_type", "") for module in network.modules()]
    named = {name for kind in kinds for name in (kind.values() if isinstance(kind, dict) else [kind])}
    return not any("dynamic" in name or name == "longrope" for name in named)


def enable_shared_prefix(network: Any) -> bool:
    """Have a network that `supports_prefix_cache` hold the shared prefix of a batch once, if its scores stay the same.

    It is tried out, since an architecture may do something of its own to keys and values.

    Returns:
        Whether the network does so from now on.
    """
    if not use_shared_prefix_attention(network):
        return False
    try:
        together, alone = _tried(network)
        same = bool(torch.isclose(together, alone, rtol=0, atol=1e-4 * float(alone.abs().max())).all())
    except LostPrefixError:
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
    cache, shared = PrefixCache(network, share=True).past([one, other], room=1)
    assert shared == 3
    together = scores([one, [0, 1, 0, 0, 0, 0]], [[1] * 6, [1, 1, 1, 0, 0, 1]], past_key_values=cache)
    return together, torch.cat([scores([row], [[1] * len(row)]) for row in (one, other)])
