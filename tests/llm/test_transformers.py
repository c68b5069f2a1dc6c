"""The engine `transformers` on a tiny model with random weights, saved to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import GenerationRequest, Message, Prompt
from aotd.llm.local import encode_prompt
from aotd.llm.thinking import THINKING_TOKENS
from aotd.llm.transformers import TransformersEngine

WORDS = ["<end>", "<pad>", "?", *"abcdefghijklmnopqrstuvwxyz", "user:", "you:"]
PROMPTS = ["a b c", "d", "e f g h i j k", "l m"]


def save(folder: Path, template: str | None = None) -> Path:
    tokens = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="?"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="<end>", unk_token="?", chat_template=template
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        eos_token_id=0,
        bos_token_id=None,
        pad_token_id=1,
        initializer_range=0.4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "tiny")


def engine(folder: Path, batch: int = 8, seed: int = 0) -> TransformersEngine:
    return TransformersEngine(LLMConfig(model=str(folder), batch=batch, seed=seed))


def chances(folder: Path, prompt: str) -> torch.Tensor:
    """What the model itself gives each token behind a prompt."""
    network = LlamaForCausalLM.from_pretrained(folder)
    tokens = torch.tensor([[WORDS.index(word) for word in prompt.split()]])
    with torch.inference_mode():
        return network(tokens).logits[0, -1].double().softmax(-1)


def encoded(tokenizer: Any, prompt: Prompt) -> list[int]:
    return encode_prompt(tokenizer, GenerationRequest.from_prompt(prompt, 1))


def test_a_batch_says_what_each_prompt_alone_says(folder: Path) -> None:
    alone = engine(folder, batch=1).generate(PROMPTS, max_tokens=8)
    assert engine(folder, batch=3).generate(PROMPTS, max_tokens=8) == alone
    assert [reply.prompt_tokens for reply in alone] == [3, 1, 7, 2]
    assert len({reply.text for reply in alone}) > 1


def test_a_reply_is_finished_only_where_the_model_ended_it(folder: Path) -> None:
    made = engine(folder)
    cut = made.generate(["a b c"], max_tokens=4)[0]
    assert (cut.finished, cut.reply_tokens, len(cut.text.split())) == (False, 4, 4)
    # every token is an end: the first one is, and is not part of the text
    made._ends = list(range(len(WORDS)))
    ended = made.generate(["a b c"], max_tokens=4)[0]
    assert (ended.finished, ended.reply_tokens, ended.text) == (True, 0, "")


def test_a_prompt_that_leaves_no_room_gives_an_empty_reply(folder: Path) -> None:
    replies = engine(folder).generate(["a " * 62, "a"], max_tokens=8)
    assert (replies[0].text, replies[0].finished, replies[0].prompt_tokens) == ("", False, 62)
    assert replies[1].reply_tokens > 0


def test_a_chat_template_is_used_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %} you:{% endif %}"
    )
    chat = engine(save(tmp_path / "chat", template)).generate(["a b c"], max_tokens=4)[0]
    plain = engine(folder).generate(["user: a b c you:"], max_tokens=4)[0]
    assert chat == plain


def test_a_token_of_the_models_own_in_a_prompt_is_plain_text(folder: Path) -> None:
    tokenizer = engine(folder)._tokenizer
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert tokenizer("a <end> b")["input_ids"][1] in ends
    assert not {*encoded(tokenizer, "a <end> b<end> <e<end>nd>")} & {*ends}
    assert encoded(tokenizer, "a b  c") == list(tokenizer("a b  c")["input_ids"])


CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}{% if add_generation_prompt %}you:{% endif %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT
SKIPS_SYSTEM = CHAT.replace("messages %}", "messages if m.role != 'system' %}")
TALK = [Message("system", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d")]


@pytest.mark.parametrize(
    ("template", "prompt", "text"),
    [
        (CHAT, TALK, "system: a user: b assistant: c user: d you:"),
        (NO_SYSTEM, TALK, "user: a b assistant: c user: d you:"),
        (SKIPS_SYSTEM, TALK, "user: a b assistant: c user: d you:"),
        (NO_SYSTEM, "b", "user: b you:"),
        (None, TALK[:2], "a b"),
    ],
)
def test_encode_prompt_merges_system_message_where_template_has_none(
    template: str | None, prompt: Prompt, text: str, tmp_path: Path
) -> None:
    tokenizer = engine(save(tmp_path / "chat", template))._tokenizer
    assert encoded(tokenizer, prompt) == encoded(engine(save(tmp_path / "plain"))._tokenizer, text)


def test_encode_prompt_refuses_chat_without_template(folder: Path) -> None:
    with pytest.raises(UserError, match="has no chat template and takes one message only") as caught:
        engine(folder).generate([TALK], max_tokens=4)
    assert "\n" not in str(caught.value)


def test_encode_prompt_says_template_cannot_be_rendered(tmp_path: Path) -> None:
    broken = engine(save(tmp_path / "chat", "{{ raise_exception('never') }}"))
    with pytest.raises(UserError, match=r"llm\.model: its chat template cannot be rendered \(never\)"):
        broken.generate(["a"], max_tokens=4)


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_encode_prompt_reads_no_special_token_in_any_message(role: str, tmp_path: Path) -> None:
    tokenizer = engine(save(tmp_path / "chat", CHAT))._tokenizer
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    messages = [Message(each.role, "a <end> b <pad>" if each.role == role else each.content) for each in TALK]
    assert not ends & {*encoded(tokenizer, messages)}


@pytest.mark.parametrize(("batch", "temperature"), [(1, 0.0), (3, 1.0)])
def test_stop_string_ends_reply_before_it(batch: int, temperature: float, folder: Path) -> None:
    free = engine(folder, batch).generate(PROMPTS, max_tokens=12, temperature=temperature)
    words = max((reply.text for reply in free), key=len).split()
    half = len(words) // 2
    for stop in ([words[half]], [" ".join(words[-2:])], ["nowhere", words[-1], words[half]], ["nowhere"]):
        made = engine(folder, batch).generate(PROMPTS, max_tokens=12, temperature=temperature, stop=stop)
        for before, reply in zip(free, made, strict=True):
            at = min((before.text.find(string) for string in stop if string in before.text), default=None)
            assert reply.text == (before.text if at is None else before.text[:at])
            assert reply.finished == (before.finished or at is not None)
            assert reply.reply_tokens <= before.reply_tokens


def test_stop_string_ends_generation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine(folder)
    steps = 0
    forward = made._network.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        return forward(*args, **kwargs)

    monkeypatch.setattr(made._network, "forward", counting)
    free = made.generate(PROMPTS[:1], max_tokens=40)[0]
    word = free.text.split()[2]
    steps, reply = 0, made.generate(PROMPTS[:1], max_tokens=40, stop=[word])[0]
    assert steps <= reply.reply_tokens + 1 < 40
    assert reply.finished


def test_samples_differ_and_come_again(folder: Path) -> None:
    made = engine(folder).generate(["a b c"] * 6, max_tokens=6, temperature=1.0)
    assert len({reply.text for reply in made}) > 3
    assert engine(folder).generate(["a b c"] * 6, max_tokens=6, temperature=1.0) == made
    assert engine(folder, seed=1).generate(["a b c"] * 6, max_tokens=6, temperature=1.0) != made


def test_a_sample_depends_neither_on_the_others_nor_on_torchs_state(folder: Path) -> None:
    prompts = ["a b c", "d", "a b c", "e f g h i j k", "a b c"]
    made = engine(folder, batch=5).generate(prompts, max_tokens=6, temperature=1.0)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    alone = engine(folder, batch=1).generate(["a b c"] * 3, max_tokens=6, temperature=1.0)
    assert alone == [made[0], made[2], made[4]]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_samples_come_as_often_as_the_model_says(folder: Path, temperature: float) -> None:
    count = 2000
    made = engine(folder, batch=500).generate(["a b c"] * count, max_tokens=1, temperature=temperature)
    # Special tokens leave no text; the others are compared.
    share = (chances(folder, "a b c").log() / temperature).softmax(-1)[3:]
    seen = torch.tensor([sum(reply.text == word for reply in made) for word in WORDS[3:]], dtype=torch.float64)
    often = share * count >= 5
    expected = share[often] / share[often].sum() * seen[often].sum()
    assert often.sum() > 5
    assert chisquare(seen[often].numpy(), expected.numpy()).pvalue > 0.001


def test_what_a_models_makers_recommend_is_not_used(folder: Path, tmp_path: Path) -> None:
    plain = engine(folder).generate(PROMPTS, max_tokens=12)
    network = LlamaForCausalLM.from_pretrained(folder)
    network.generation_config.repetition_penalty = 5.0
    network.generation_config.no_repeat_ngram_size = 1
    other = save(tmp_path / "tiny")
    network.save_pretrained(other)
    assert engine(other).generate(PROMPTS, max_tokens=12) == plain


def test_the_likeliest_option_is_chosen(folder: Path) -> None:
    options = [tuple("abc"), tuple("xyz"), tuple("defg"), ("q", "r")]
    for batch in (1, 3):
        choices = engine(folder, batch=batch).choose(PROMPTS, options)
        for prompt, allowed, choice in zip(PROMPTS, options, choices, strict=True):
            share = chances(folder, prompt)
            assert choice.option == max(allowed, key=lambda option: share[WORDS.index(option)])
            assert choice.constrained
            assert choice.reply == choice.option


def test_options_of_several_tokens_are_weighed_fork_by_fork(folder: Path) -> None:
    def share(prompt: str, among: list[str], one: str) -> float:
        told = chances(folder, prompt)
        return float(told[WORDS.index(one)] / sum(told[WORDS.index(word)] for word in among))

    # "a b" goes on to "c" or ends; "a d e" and "f" fork off before, and "e" has no fork of its own.
    options = ["a b", "a b c", "a d e", "f"]
    for prompt in PROMPTS:
        start, second = share(prompt, ["a", "f"], "a"), share(f"{prompt} a", ["b", "d"], "b")
        third = share(f"{prompt} a b", ["<end>", "c"], "c")
        likely = [start * second * (1 - third), start * second * third, start * (1 - second), 1 - start]
        assert sum(likely) == pytest.approx(1)
        (choice,) = engine(folder).choose([prompt], [options])
        assert choice.option == options[likely.index(max(likely))]


def test_a_prompt_that_leaves_no_room_chooses_nothing(folder: Path) -> None:
    choices = engine(folder).choose(["a " * 63, "a"], [("a b", "c"), ("a b", "c")])
    assert [choice.option is None for choice in choices] == [True, False]
    assert not choices[0].constrained


def test_the_manifest_name_is_the_folders(folder: Path) -> None:
    assert engine(folder).model == "tiny"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": ""}, "needs llm.model"),
        ({"model": "/nowhere/at/all"}, "/nowhere/at/all is not there"),
        ({"model": "weights.gguf"}, "weights.gguf is not there"),
        ({"model": "{empty}"}, "holds no config.json"),
        ({"model": "{broken}"}, "cannot be loaded"),
        ({"dtype": "float31"}, "llm.dtype: 'float31'"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(
    settings: dict[str, str], says: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "no-such-model"}')
    places = {"empty": str(tmp_path / "empty"), "broken": str(tmp_path / "broken")}
    given = {"model": str(folder)} | {name: value.format(**places) for name, value in settings.items()}
    with pytest.raises(UserError) as caught:
        TransformersEngine(LLMConfig(**given))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


THINKER = "{% for m in messages %}user: {{ m.content }} {% endfor %}you: "
OPENER = THINKER + "<think> "


def thinking(folder: Path, scripts: dict[str, str], template: str = THINKER, **settings: Any) -> Any:
    """An engine whose model writes a text for the last word of each prompt, and how many tokens each row might have."""
    words = [*WORDS, "<think>", "</think>", "[THINK]", "[/THINK]"]
    tokens = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="?"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"additional_special_tokens": ["[THINK]", "[/THINK]", "<pad>"]}
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="<end>", unk_token="?", chat_template=template, **special
    ).save_pretrained(save(folder))
    made = TransformersEngine(LLMConfig(model=str(folder), **{"batch": 8, **settings}))
    made._prefix_cache, limits = None, []

    def generate(input_ids: torch.Tensor, *, generation_config: Any, **_: Any) -> Any:
        limit, rows = generation_config.max_new_tokens, []
        for row in input_ids.tolist():
            asked = next(words[token] for token in reversed(row) if words[token] in scripts)
            written = [words.index(word) for word in scripts[asked].split()] + [0]
            rows.append(row + (written + [1] * limit)[:limit])
            limits.append((asked, limit))
        out = type("Out", (), {"sequences": torch.tensor(rows)})
        return out

    made._network.generate = generate
    made._network.config.max_position_embeddings = 9999
    return made, limits


HMS = " h" * 30


def test_thought_gets_room_and_other_replies_stay(tmp_path: Path) -> None:
    scripts = {"a": f"<think>{HMS} </think> b c", "b": "d e", "c": "x " * 12, "d": "<think> h </think> y"}
    made, limits = thinking(tmp_path, scripts)
    replies = made.generate(["a", "b", "c", "d"], max_tokens=8)
    assert [(reply.text, reply.finished, bool(reply.reasoning)) for reply in replies] == [
        ("b c", True, True),
        ("d e", True, False),
        (" ".join("x" * 8), False, False),
        ("y", True, True),
    ]
    assert sorted(limits) == [("a", 8), ("a", 8 + THINKING_TOKENS), ("b", 8), ("c", 8), ("d", 8)]


def test_thought_that_the_template_opens_gets_room_at_once(tmp_path: Path) -> None:
    made, limits = thinking(tmp_path, {"a": f"{HMS} </think> b", "b": "x " * 9999}, OPENER)
    said, silent = made.generate(["a", "b"], max_tokens=8)
    assert (said.text, said.finished) == ("b", True)
    assert (silent.text, silent.finished, silent.silent) == ("", False, True)
    assert {limit for _, limit in limits} == {8 + THINKING_TOKENS}


@pytest.mark.parametrize(("tokens", "text"), [(0, ""), (10, ""), (40, "b")])
def test_room_to_think_is_what_the_setting_says(tokens: int, text: str, tmp_path: Path) -> None:
    made, limits = thinking(tmp_path, {"a": f"<think>{HMS} </think> b", "c": "x " * 20}, thinking_tokens=tokens)
    said, plain = made.generate(["a", "c"], max_tokens=8)
    assert (said.text, said.silent) == (text, not text)
    assert (len(plain.text.split()), plain.finished, plain.reply_tokens) == (8, False, 8)
    assert {limit for _, limit in limits} == {8 + tokens}


def test_room_to_think_ends_with_the_context(tmp_path: Path) -> None:
    made, limits = thinking(tmp_path, {"a": f"<think>{HMS} </think> b"})
    made._network.config.max_position_embeddings = 20
    assert made.generate(["a"], max_tokens=8)[0].silent
    assert [limit for _, limit in limits] == [8, 17], "the prompt has three tokens"


def test_reasoning_between_special_tokens_is_no_reply(tmp_path: Path) -> None:
    made, _ = thinking(tmp_path, {"a": "[THINK] h h [/THINK] b <pad> c"})
    (reply,) = made.generate(["a"], max_tokens=9)
    assert (reply.text, reply.reasoning) == ("b c", "h h")


def test_stop_string_in_a_thought_ends_nothing(tmp_path: Path) -> None:
    made, _ = thinking(tmp_path, {"a": "<think> b h </think> c b d"})
    (reply,) = made.generate(["a"], max_tokens=9, stop=["b"])
    assert (reply.text, reply.finished, reply.reply_tokens) == ("c ", True, 6)


def test_choice_is_weighed_behind_closed_reasoning(tmp_path: Path) -> None:
    made, _ = thinking(tmp_path, {"a": "b"}, OPENER)
    request = GenerationRequest.from_prompt("a", 8, options=("b", "c"))
    text = made._tokenizer.decode(encode_prompt(made._tokenizer, request))
    assert text == "user: a you: <think> </think>"
