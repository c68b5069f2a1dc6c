"""What prompts share: read once, kept within a budget, and never at the price of another reply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from aotd.llm import LLMConfig
from aotd.llm import prefix_cache as prefix_cache_module
from aotd.llm import transformers as module
from aotd.llm.base import Reply
from aotd.llm.prefix_cache import PrefixCache, enable_shared_prefix, is_batch_invariant, supports_prefix_cache
from aotd.llm.transformers import TransformersEngine
from aotd.models import kv_cache as rows_module
from tests.llm.test_transformers import WORDS, save

API = "a b c d e f g h i j k l m n o p q r s t u v w x y z "
ONE, OTHER = API + "b a d c ", API + "z y x w v "
PROMPTS = [
    ONE + "e f g",
    ONE + "e f h i j",
    OTHER + "a",
    "q",
    OTHER + "b c d e",
    ONE + "k",
    "q r s t u v w x",
    ONE + "e f",
    OTHER + "a b",
]
ASKED = [*PROMPTS, *PROMPTS[:3]]
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "eos_token_id": 0,
    "bos_token_id": None,
    "pad_token_id": 1,
    "initializer_range": 0.4,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "tiny")


def engine(folder: Path, batch: int = 4, dtype: str = "float32") -> TransformersEngine:
    return TransformersEngine(LLMConfig(model=str(folder), batch=batch, dtype=dtype))


def tokens(prompt: str) -> list[int]:
    return [WORDS.index(word) for word in prompt.split()]


def prefixes(folder: Path, budget: int = 2**30) -> PrefixCache:
    return PrefixCache(LlamaForCausalLM.from_pretrained(folder).eval(), budget)


def other(folder: Path, path: Path, network: Any) -> Path:
    """The tokenizer of one folder with another network."""
    save(path)
    network.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[float, list[Reply]]:
    """Temperature -> what the prompts of `ASKED` are replied to, each alone."""
    return {heat: engine(folder, 1).generate(ASKED, max_tokens=8, temperature=heat) for heat in (0.0, 1.0)}


@pytest.mark.parametrize(("batch", "temperature"), [(2, 0.0), (3, 1.0), (8, 1.0), (32, 0.0)])
def test_a_reply_depends_neither_on_its_neighbours_nor_on_the_batch(
    folder: Path, batch: int, temperature: float, alone: dict[float, list[Reply]]
) -> None:
    made = engine(folder, batch)
    assert made.generate(ASKED, max_tokens=8, temperature=temperature) == alone[temperature]
    again = made.generate(ASKED[::-1], max_tokens=8, temperature=0.0)[::-1]
    assert again == alone[0.0], "what is kept of the prompts changes nothing"
    assert len({reply.text for reply in alone[temperature]}) > 4


@pytest.mark.parametrize("batch", [2, 3, 32])
def test_a_choice_depends_neither_on_its_neighbours_nor_on_the_batch(folder: Path, batch: int) -> None:
    options = [("a b", "a b c", "d"), ("a", "b"), ("x y", "x z", "q r", "q"), *[("f", "g", "h i")] * 6]
    alone = engine(folder, 1).choose(PROMPTS, options)
    assert engine(folder, batch).choose(PROMPTS, options) == alone
    assert len({choice.option for choice in alone}) > 2


def test_a_reply_is_what_generate_makes_of_the_prompt_alone(folder: Path) -> None:
    network = LlamaForCausalLM.from_pretrained(folder).eval()
    for prompt, reply in zip(PROMPTS, engine(folder).generate(PROMPTS, max_tokens=8), strict=True):
        ids = torch.tensor([tokens(prompt)])
        row = network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
        said = row[0, ids.shape[1] :].tolist()
        assert reply.text.split() == [WORDS[token] for token in said if token not in (0, 2)]


def test_what_is_shared_is_read_once(folder: Path) -> None:
    made = engine(folder)
    made.generate(PROMPTS, max_tokens=4)
    # Every branch of the tree of prompts, and the last token of none: the decoding reads that.
    rows = sorted({tuple(tokens(prompt)[:-1]) for prompt in PROMPTS})
    branches = {row[: end + 1] for row in rows for end in range(len(row))}
    assert made._prefix_cache is not None
    assert made._prefix_cache.computed == len(branches) < sum(map(len, rows)) / 2
    made.generate(PROMPTS, max_tokens=6)
    assert made._prefix_cache.computed == len(branches), "kept between calls"


def test_no_more_is_cached_than_the_budget_and_the_one_used_last_stays(folder: Path) -> None:
    size = 2 * 2 * 16 * 4  # bytes of a token: keys and values of two layers, 16 numbers each
    one, two, three = (tokens(text) for text in ("a b c d e", "f g h i j", "k l m n o"))
    held = prefixes(folder, budget=2 * 4 * size)

    def read(row: list[int]) -> int:
        before = held.computed
        with torch.inference_mode():
            held.past([row], room=1)
        assert sum(kept.size for kept in held._cached) <= held._budget
        return held.computed - before

    assert [read(row) for row in (one, two, one, three)] == [4, 4, 0, 4], "two have room"
    assert [read(row) for row in (one, two)] == [0, 4], "the one that was not used made room"
    assert [kept.size for kept in held._cached] == [4 * size] * 2
    assert [read([*two, 3]), len(held._cached)] == [1, 1], "a longer one takes the place of what it begins with"


def test_the_last_prompt_is_cached_whatever_the_budget(folder: Path) -> None:
    held = prefixes(folder, budget=0)
    with torch.inference_mode():
        for row, total in (("a b c", 2), ("a b c", 2), ("a b d", 2), ("f g h", 4), ("a b c", 6)):
            held.past([tokens(row)], room=1)
            assert (held.computed, len(held._cached)) == (total, 1)


def test_a_small_budget_changes_no_reply(folder: Path) -> None:
    made = engine(folder)
    assert made._prefix_cache is not None
    made._prefix_cache._budget = 0
    assert made.generate(PROMPTS, max_tokens=8) == engine(folder, 1).generate(PROMPTS, max_tokens=8)


def test_what_is_known_of_a_prompt_is_what_the_network_makes_of_it(folder: Path) -> None:
    held = prefixes(folder)
    rows = [tokens(prompt) for prompt in PROMPTS[:4]]
    with torch.inference_mode():
        cache, alike = held.past(rows, room=3)
        assert alike == 0
        longest = max(map(len, rows)) - 1
        assert cache.get_seq_length() == longest
        for at, row in enumerate(rows):
            ids = torch.tensor([row[:-1]])
            expected = held._network(input_ids=ids, use_cache=True).past_key_values if len(row) > 1 else []
            pad = longest - (len(row) - 1)
            for layer, (keys, values, _) in zip(cache.layers, expected, strict=False):
                torch.testing.assert_close(layer.keys[at : at + 1, :, pad:], keys)
                torch.testing.assert_close(layer.values[at : at + 1, :, pad:], values)
                assert not layer.keys[at, :, :pad].any()


def test_what_rows_begin_with_is_held_once_and_padding_stands_behind_it(folder: Path) -> None:
    held = prefixes(folder)
    held._share = True
    rows = [tokens(prompt) for prompt in (ONE + "e f g", OTHER + "a", ONE + "k", API + "b")]
    with torch.inference_mode():
        cache, alike = held.past(rows, room=3)
        assert (alike, cache.get_seq_length()) == (26, 32)
        for at, row in enumerate(rows):
            expected = held._network(input_ids=torch.tensor([row[:-1]]), use_cache=True).past_key_values
            pad = 32 - (len(row) - 1)
            for layer, whole in zip(cache.layers, expected, strict=True):
                for own, first, part in zip((layer.keys, layer.values), layer._shared, whole, strict=False):
                    torch.testing.assert_close(first, part[:, :, :26])
                    torch.testing.assert_close(own[at : at + 1, :, pad:], part[:, :, 26:])
                    assert not own[at, :, :pad].any()
                    assert own.shape[2] == 6


def test_a_batch_reads_what_it_begins_with_once_where_numbers_are_exact(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    joined = prefix_cache_module.batch_layers

    def counting(rows: Any, alike: int, longest: int, room: int) -> Any:
        held.append(alike)
        return joined(rows, alike, longest, room)

    monkeypatch.setattr(prefix_cache_module, "batch_layers", counting)
    asked = [prompt for prompt in PROMPTS if prompt.startswith(API)]
    for dtype, counts in (("float32", [26]), ("bfloat16", [0])):
        made = engine(folder, 32, dtype)
        held.clear()
        made.generate(asked, max_tokens=4)
        assert held == counts


def test_a_network_that_reads_parts_otherwise_is_given_whole_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = LlamaForCausalLM.from_pretrained(folder).eval()
    assert enable_shared_prefix(network)
    assert network.config._attn_implementation == rows_module.ATTENTION
    assert not enable_shared_prefix(LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").eval())
    right = rows_module._one_product
    latent = network_of("latent")
    assert not enable_shared_prefix(latent)
    assert latent.config._attn_implementation == "sdpa"
    monkeypatch.setattr(rows_module, "_one_product", lambda rows, shared: 1.1 * right(rows, shared))
    network = LlamaForCausalLM.from_pretrained(folder).eval()
    assert not enable_shared_prefix(network)
    assert network.config._attn_implementation == "sdpa"


def test_a_reply_that_rounding_may_have_decided_is_asked_for_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = engine(folder, 1)
    made = engine(folder, 4)
    asked: list[tuple[int, bool]] = []
    run = made._run

    def counting(rows: list[list[int]], together: bool, **settings: Any) -> Any:
        asked.append((len(rows), together))
        return run(rows, together, **settings)

    monkeypatch.setattr(made, "_run", counting)
    made.generate(PROMPTS[:4], max_tokens=4)
    assert asked == [(4, True)], "nothing was close"
    asked.clear()
    # Were rounding this large, it might decide everything.
    monkeypatch.setattr(module, "ROUNDING", 0.5)
    assert made.generate(PROMPTS[:4], max_tokens=4) == alone.generate(PROMPTS[:4], max_tokens=4)
    assert asked == [(4, True), *[(1, False)] * 4]
    asked.clear()
    choices = made.choose(PROMPTS[:4], [("a", "b")] * 4)
    assert asked == [(4, True), *[(1, False)] * 4]
    assert choices == alone.choose(PROMPTS[:4], [("a", "b")] * 4)


def test_what_comes_behind_the_end_of_a_reply_is_not_close() -> None:
    close = torch.zeros(2, dtype=torch.bool)
    ended = torch.zeros_like(close)
    pick = module._picking([0, 0], 0.0, 3, torch.tensor([7]), ended, close)
    scores = torch.tensor([[1.0, 1.0], [2.0, 1.0]])
    pick(torch.tensor([[7, 7, 7, 7], [7, 7, 7, 1]]), scores)
    assert close.tolist() == [False, False], "ended, or sure"
    ended[0] = True
    pick(torch.tensor([[7, 7, 7, 1], [7, 7, 7, 7]]), scores)
    assert close.tolist() == [False, False], "a stop string has ended it"
    ended[0] = False
    pick(torch.tensor([[7, 7, 7, 1], [7, 7, 7, 7]]), scores)
    assert close.tolist() == [True, False]


def test_in_half_precision_nothing_is_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUNDING", 0.5)
    made = engine(folder, 4, "bfloat16")
    asked: list[bool] = []
    run = made._run

    def counting(rows: list[list[int]], together: bool, **settings: Any) -> Any:
        asked.append(together)
        return run(rows, together, **settings)

    monkeypatch.setattr(made, "_run", counting)
    made.generate(PROMPTS, max_tokens=4)
    assert asked == [True] * 3


def network_of(kind: str) -> Any:
    torch.manual_seed(0)
    moving = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    kinds: dict[str, Callable[[], Any]] = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**SMALL)),
        "sliding": lambda: MistralForCausalLM(MistralConfig(**SMALL, sliding_window=8)),
        "recurrent": lambda: MambaForCausalLM(
            MambaConfig(
                vocab_size=len(WORDS), hidden_size=16, state_size=4, num_hidden_layers=2, eos_token_id=0, pad_token_id=1
            )
        ),
        "moving": lambda: LlamaForCausalLM(LlamaConfig(**SMALL, rope_parameters=moving)),
        # It makes keys of what its cache holds.
        "latent": lambda: DeepseekV3ForCausalLM(
            DeepseekV3Config(
                **{**SMALL, "num_key_value_heads": 2},
                kv_lora_rank=8,
                q_lora_rank=8,
                qk_rope_head_dim=8,
                qk_nope_head_dim=8,
                v_head_dim=8,
                first_k_dense_replace=2,
            )
        ),
    }
    return kinds[kind]().eval()


@pytest.mark.parametrize(
    ("kind", "goes_on", "alike"),
    [
        ("llama", True, True),
        ("sliding", False, True),
        ("recurrent", False, True),
        ("moving", False, False),
        ("latent", True, True),
    ],
)
def test_a_network_that_cannot_go_on_from_a_beginning_reads_each_prompt_whole(
    kind: str, goes_on: bool, alike: bool, folder: Path, tmp_path: Path
) -> None:
    network = network_of(kind)
    assert (supports_prefix_cache(network), is_batch_invariant(network)) == (goes_on, alike)
    path = other(folder, tmp_path / "model", network)
    assert type(AutoModelForCausalLM.from_pretrained(path)) is type(network)
    made = engine(path, 4)
    assert (made._prefix_cache is not None, made._batch) == (goes_on, 4 if alike else 1)
    assert made.generate(PROMPTS, max_tokens=8) == engine(path, 1).generate(PROMPTS, max_tokens=8)


def test_a_prompt_that_leaves_no_room_is_refused_among_others(folder: Path) -> None:
    asked = [PROMPTS[0], "a " * 62, PROMPTS[3], "b " * 70]
    replies = engine(folder).generate(asked, max_tokens=8)
    assert [(reply.refused, reply.prompt_tokens) for reply in replies] == [
        (False, 33), (True, 62), (False, 1), (True, 70)
    ]  # fmt: skip
    assert replies == engine(folder, 1).generate(asked, max_tokens=8)
    assert all(reply.refused for reply in engine(folder).generate(asked[1::2], max_tokens=8))


def test_prompts_of_one_token_share_nothing(folder: Path) -> None:
    assert engine(folder).generate(["q", "r", "s"], max_tokens=4) == engine(folder, 1).generate(
        ["q", "r", "s"], max_tokens=4
    )
