"""Attention over what rows begin with and what they have of their own, against transformers' own over whole rows."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache, LlamaConfig
from transformers.cache_utils import DynamicSlidingWindowLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from aotd.models.kv_cache import SharedPrefixLayer, reserve, shared_prefix_attention

ROWS, HEADS, WIDTH, ALIKE, OWN = 3, 4, 8, 5, 6


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", ["booleans", "numbers", "none"])
def test_attention_in_two_parts_is_attention_over_the_whole(groups: int, kind: str) -> None:
    torch.manual_seed(0)
    module = torch.nn.Module()
    module.num_key_value_groups = HEADS // groups
    query = torch.randn(ROWS, HEADS, 1, WIDTH)
    alike = (torch.randn(1, groups, ALIKE, WIDTH), torch.randn(1, groups, ALIKE, WIDTH))
    own = [torch.randn(ROWS, groups, OWN, WIDTH) for _ in range(2)]
    seen = torch.ones(ROWS, 1, 1, ALIKE + OWN, dtype=torch.bool)
    if kind != "none":
        seen[1, ..., ALIKE : ALIKE + 4] = False
    mask = {"booleans": seen, "numbers": torch.zeros(seen.shape).masked_fill(~seen, -1e30), "none": None}[kind]
    layer = SharedPrefixLayer(alike, [torch.cat([part, part[:, :, :1]], 2) for part in own], OWN - 1)
    keys, values = layer.update(own[0][:, :, -1:], own[1][:, :, -1:])
    whole = [torch.cat([first.expand(ROWS, -1, -1, -1), part], 2) for first, part in zip(alike, own, strict=True)]
    assert layer.get_seq_length() == ALIKE + OWN
    said, _ = shared_prefix_attention(module, query, keys, values, mask, scaling=0.3)
    expected, _ = sdpa_attention_forward(module, query, *whole, mask, scaling=0.3)
    torch.testing.assert_close(said, expected)
    usual, _ = shared_prefix_attention(module, query, keys, values, mask)
    expected, _ = sdpa_attention_forward(module, query, *whole, mask)
    torch.testing.assert_close(usual, expected)
    assert not torch.allclose(said, usual)


def test_attention_over_whole_rows_is_transformers_own_to_the_last_bit() -> None:
    torch.manual_seed(0)
    module = torch.nn.Module()
    query, keys, values = (torch.randn(ROWS, HEADS, OWN, WIDTH) for _ in range(3))
    assert torch.equal(
        shared_prefix_attention(module, query, keys, values, None)[0],
        sdpa_attention_forward(module, query, keys, values, None)[0],
    )


def test_tokens_are_written_into_the_room_that_is_there() -> None:
    own = [torch.zeros(2, 1, 3, 4) for _ in range(2)]
    layer = SharedPrefixLayer(None, own, 1)
    keys, _ = layer.update(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4))
    assert (keys.data_ptr(), keys.shape[2], layer.get_seq_length()) == (own[0].data_ptr(), 2, 2)
    assert own[0][:, :, 1].all()
    layer.update(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4))
    with pytest.raises(AssertionError, match="room"):
        layer.update(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4))


def test_a_cache_with_room_holds_what_it_held_and_takes_more_without_copying() -> None:
    torch.manual_seed(0)
    pairs = [(torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4)) for _ in range(2)]
    plain, roomy = DynamicCache(pairs), DynamicCache(pairs)
    reserve(roomy, 2)
    places = [layer.keys.data_ptr() for layer in roomy.layers]
    for _ in range(2):
        new = [torch.randn(2, 1, 1, 4) for _ in range(2)]
        for layer in range(2):
            for one, other in zip(plain.update(*new, layer), roomy.update(*new, layer), strict=True):
                assert torch.equal(one, other)
    assert roomy.get_seq_length() == plain.get_seq_length() == 5
    assert [layer.keys.data_ptr() for layer in roomy.layers] == places


def test_a_layer_that_forgets_is_left_as_it_is() -> None:
    cache = DynamicCache(
        config=LlamaConfig(num_hidden_layers=2, sliding_window=2, layer_types=["sliding_attention"] * 2)
    )
    for layer in range(2):
        cache.update(torch.randn(1, 1, 3, 4), torch.randn(1, 1, 3, 4), layer)
    reserve(cache, 2)
    assert [type(layer) for layer in cache.layers] == [DynamicSlidingWindowLayer] * 2
