"""The engine `transformers` on a tiny model with random weights, saved to a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aotd.errors import UserError
from aotd.llm.base import LLMConfig
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


def engine(folder: Path, batch: int = 8) -> TransformersEngine:
    return TransformersEngine(LLMConfig(model=str(folder), batch=batch))


def test_a_batch_says_what_each_prompt_alone_says(folder: Path) -> None:
    alone = engine(folder, batch=1).complete(PROMPTS, max_tokens=8)
    assert engine(folder, batch=3).complete(PROMPTS, max_tokens=8) == alone
    assert [reply.prompt_tokens for reply in alone] == [3, 1, 7, 2]
    assert len({reply.text for reply in alone}) > 1


def test_a_reply_is_finished_only_where_the_model_ended_it(folder: Path) -> None:
    made = engine(folder)
    cut = made.complete(["a b c"], max_tokens=4)[0]
    assert (cut.finished, cut.reply_tokens, len(cut.text.split())) == (False, 4, 4)
    # every token is an end: the first one is, and is not part of the text
    made._ends = list(range(len(WORDS)))
    ended = made.complete(["a b c"], max_tokens=4)[0]
    assert (ended.finished, ended.reply_tokens, ended.text) == (True, 0, "")


def test_a_prompt_that_leaves_no_room_gives_an_empty_reply(folder: Path) -> None:
    replies = engine(folder).complete(["a " * 62, "a"], max_tokens=8)
    assert (replies[0].text, replies[0].finished, replies[0].prompt_tokens) == ("", False, 62)
    assert replies[1].reply_tokens > 0


def test_a_chat_template_is_used_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %} you:{% endif %}"
    )
    chat = engine(save(tmp_path / "chat", template)).complete(["a b c"], max_tokens=4)[0]
    plain = engine(folder).complete(["user: a b c you:"], max_tokens=4)[0]
    assert chat == plain


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
