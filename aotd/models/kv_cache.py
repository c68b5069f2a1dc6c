"""KV cache of a batch that holds the common prefix of its rows once.

At each step a decoder reads the keys and values of all tokens before. Prompts of one job share most of their length.
The shared prefix is read once for the whole batch, as one product, and each row's own part beside it (Hydragen,
Juravsky et al. 2024). That saves time and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

KeyValue = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, each (rows, heads, tokens, width)."""
PastKeyValues = list[KeyValue]
"""Those of each layer."""

ATTENTION = "aotd"
"""Name of `shared_prefix_attention` among transformers' attentions."""


class LostPrefixError(Exception):
    """A network has changed the keys that its cache returned, and the shared prefix is not among them."""


class SharedPrefixLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of a KV cache: the shared prefix of all rows, then each row's own tokens, padded on the left.

    New tokens are written into reserved room. transformers' own layer copies the whole cache at each token: behind
    2,000 of them, a third of the time.
    """

    def __init__(self, shared: KeyValue | None, own: KeyValue, known: int) -> None:
        """Args:
        shared: keys and values of the shared prefix, (1, heads, tokens, width) each. Where there is one, the
            network's attention is `shared_prefix_attention`.
        own: those of each row behind that, (rows, heads, tokens, width), with room for more than the first `known`.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(*own)
        self._shared, self._own, self._known = shared, own, 0
        self._grow(known)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, tokens = self._known, key_states.shape[2]
        assert start + tokens <= self._own[0].shape[2], "more tokens than there is room for"
        for part, states in zip(self._own, (key_states, value_states), strict=True):
            part[:, :, start : start + tokens] = states
        return self._grow(tokens)

    def get_seq_length(self) -> int:
        return self._known + (self._shared[0].shape[2] if self._shared else 0)

    def _grow(self, tokens: int) -> KeyValue:
        self._known += tokens
        keys, values = (part[:, :, : self._known] for part in self._own)
        # A model passes this very tensor on to `shared_prefix_attention`.
        keys.shared_prefix = self._shared  # type: ignore[attr-defined]
        self.keys, self.values = keys, values
        return keys, values


def reserve(cache: DynamicCache, room: int) -> None:
    """Reserve room in a cache for so many more tokens of each row, so that none is copied (`SharedPrefixLayer`).

    Layers that are not transformers' plain ones (sliding windows) stay as they are.
    """
    for at, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            assert layer.keys is not None, "something has been read"
            assert layer.values is not None
            keys, values = (torch.nn.functional.pad(part, (0, 0, 0, room)) for part in (layer.keys, layer.values))
            cache.layers[at] = SharedPrefixLayer(None, (keys, values), layer.get_seq_length())


def batch_layers(rows: Sequence[PastKeyValues], shared: int, longest: int, room: int) -> list[SharedPrefixLayer]:
    """Build the layers of a cache of all rows.

    Args:
        rows: of each row what is known of it, an empty list where nothing is.
        shared: how many tokens are to be held once; all rows begin with them.
        longest: how many are known of the longest row.
        room: how many more tokens there will be for each row.
    """
    filled = [(at, row) for at, row in enumerate(rows) if row]
    known = longest - shared

    def own(layer: int, part: int) -> torch.Tensor:
        like = filled[0][1][layer][part]
        space = like.new_zeros((len(rows), like.shape[1], known + room, like.shape[3]))
        for at, row in filled:
            tokens = row[layer][part][0, :, shared:]
            space[at, :, known - tokens.shape[1] : known] = tokens
        return space

    layers = []
    for layer, (keys, values) in enumerate(filled[0][1] if filled else []):
        first = (keys[:, :, :shared], values[:, :, :shared]) if shared else None
        layers.append(SharedPrefixLayer(first, (own(layer, 0), own(layer, 1)), known))
    return layers


def shared_prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in transformers' form: a step behind a `SharedPrefixLayer` with a prefix; its own `sdpa` elsewhere.

    Args:
        query: (rows, heads, tokens, width); in such a step of one token.
        key, value: (rows, heads or a part of them, tokens, width); in such a step of the rows' own tokens.
        attention_mask: (rows, 1, 1, all tokens), booleans or what is added to scores; None where nothing is masked.

    Returns:
        (rows, tokens, heads, width)

    Raises:
        LostPrefixError: there are fewer keys than tokens.
    """
    prefix: KeyValue | None = getattr(key, "shared_prefix", None)
    if prefix is None:
        if attention_mask is not None and attention_mask.shape[-1] > key.shape[2]:
            raise LostPrefixError
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
        return plain
    rows, heads, tokens, width = query.shape
    groups, shared = key.shape[1], prefix[0].shape[2]
    assert tokens == 1, "all tokens but a row's last one are known"
    query = (query * (width**-0.5 if scaling is None else scaling)).view(rows, groups, -1, width)
    near = query @ key.transpose(2, 3)
    if attention_mask is not None:
        mask = attention_mask[..., shared:]
        near = near.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else near + mask
    far = _one_product(query, prefix[0][0].transpose(1, 2))
    shares = torch.cat([far, near], -1).softmax(-1)
    out = _one_product(shares[..., :shared], prefix[1][0]) + shares[..., shared:] @ value
    return out.reshape(rows, 1, heads, width), None


def _one_product(rows: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """(rows, groups, heads of a group, n) by (groups, n, m), all rows at once."""
    count, groups, heads, _ = rows.shape
    made = rows.transpose(0, 1).reshape(groups, count * heads, -1) @ shared
    return made.view(groups, count, heads, -1).transpose(0, 1)


def use_shared_prefix_attention(network: Any) -> bool:
    """Make `shared_prefix_attention` a network's attention.

    Returns:
        Whether that is possible: not where its attention cannot be exchanged, or is not `sdpa`.
    """
    can = getattr(network, "_can_set_attn_implementation", None)
    if network.config._attn_implementation != "sdpa" or can is None or not can():
        return False
    AttentionInterface.register(ATTENTION, shared_prefix_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    network.set_attn_implementation(ATTENTION)
    return True
