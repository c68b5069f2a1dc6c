"""The engine `vllm`, and vLLM's own server behind the engine `openai`, on a tiny model with random weights.

Both are held to what transformers makes of the same weights. `make test-vllm` has the environment for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.base import Engine, Message, Reply
from aotd.llm.load import load_engine
from aotd.llm.thinking import THINKING_TOKENS
from aotd.llm.vllm import VLLMEngine

SHARED = "The person opens the door, takes the cup and puts it on the table. " * 4
PROMPTS = [*(f"{SHARED}{asked}" for asked in ("What was taken?", "What was opened?", "Where is it?")), "Why?", "é ✓"]
TEMPLATE = "{% for m in messages %}<s>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<s>you:{% endif %}"
LETTERS = [("A", "B", "C"), ("x", "y"), ("q", "qz", "z"), ("zq", "zx", "q"), ("1", "2", "3", "4")]
WORDS = [
    ("Yes", "No"),
    ("the cup", "the cup and the door", "a book"),
    ("é", 'say "✓"'),
    ("True", "False"),
    (r"x\y", "|"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def make_model(folder: Path, context: int = 512) -> Path:
    """A model whose replies end at times, with what its makers recommend for sampling beside it."""
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["</s>", "<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(PROMPTS, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="</s>", bos_token="<s>", chat_template=TEMPLATE
    ).save_pretrained(folder)
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokens.get_vocab_size(),
            hidden_size=128,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=context,
            eos_token_id=0,
            bos_token_id=1,
            initializer_range=0.3,
        )
    )
    # Its makers say that more tokens than one end a reply, and would not have it repeat itself.
    network.generation_config.eos_token_id = [0, *range(200, 212)]
    network.generation_config.repetition_penalty = 3.0
    network.save_pretrained(folder)
    return folder


def config(folder: Path, engine: EngineName, **settings: object) -> LLMConfig:
    return LLMConfig(engine=engine, model=str(folder), gpu_memory_utilization=0.2, batch=4, **settings)


@pytest.fixture(scope="module")
def judge(folder: Path) -> Engine:
    return load_engine(config(folder, EngineName.transformers), "a test")


@pytest.fixture(scope="module")
def inside(folder: Path) -> Engine:
    """vLLM in this process."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make test-vllm")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    return load_engine(config(folder, EngineName.vllm), "a test")


@pytest.fixture(scope="module")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """vLLM's server."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make test-vllm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(folder), "--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager"]
    command += ["--generation-config", "vllm", "--gpu-memory-utilization", "0.2"]
    quiet = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=quiet, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", log)
        yield load_engine(LLMConfig(EngineName.openai, "tiny", url=f"http://127.0.0.1:{port}/v1", batch=4), "a test")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(f"no server after 10 minutes: {log.read_text()[-3000:]}")


def told(replies: list[Reply]) -> list[tuple[str, bool, int]]:
    # A character cut in the middle is left out by vLLM, and stands as one that cannot be read in transformers.
    return [(reply.text.rstrip("\ufffd"), reply.finished, reply.prompt_tokens) for reply in replies]


@pytest.fixture(params=["inside", "served"])
def engine(request: pytest.FixtureRequest) -> Engine:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Engine)
    return made


@pytest.mark.vllm
def test_greedy_replies_are_those_of_transformers(engine: Engine, judge: Engine) -> None:
    expected = judge.generate(PROMPTS, max_tokens=24)
    assert {reply.finished for reply in expected} == {True, False}
    assert told(engine.generate(PROMPTS, max_tokens=24)) == told(expected)
    assert told(engine.generate(PROMPTS, max_tokens=24)) == told(expected), (
        "what is kept of the prompts changes nothing"
    )


@pytest.mark.vllm
def test_chats_and_stop_strings_are_those_of_transformers(engine: Engine, judge: Engine) -> None:
    free = judge.generate(PROMPTS, max_tokens=24)
    stop = [free[0].text[3:5], free[1].text[4:6]]
    chats = [[Message("system", "Be brief."), Message("user", prompt)] for prompt in PROMPTS]
    for prompts in (PROMPTS, chats):
        expected = judge.generate(prompts, max_tokens=24, stop=stop)
        assert told(engine.generate(prompts, max_tokens=24, stop=stop)) == told(expected)


@pytest.mark.vllm
def test_choices_are_those_of_transformers(engine: Engine, judge: Engine) -> None:
    """Where an option can be spelt in one way only; vLLM takes any spelling of it, such as "Y" and "es"."""
    chosen = engine.choose(PROMPTS, LETTERS)
    assert all(choice.constrained for choice in chosen)
    assert [choice.option for choice in chosen] == [choice.option for choice in judge.choose(PROMPTS, LETTERS)]


@pytest.mark.vllm
def test_nothing_but_an_option_is_said(engine: Engine) -> None:
    chosen = engine.choose(PROMPTS, WORDS)
    assert all(choice.constrained and choice.option in allowed for choice, allowed in zip(chosen, WORDS, strict=True))


@pytest.mark.vllm
def test_samples_differ_come_again_and_do_not_depend_on_the_others(engine: Engine) -> None:
    prompts = [PROMPTS[0], PROMPTS[3], PROMPTS[0], PROMPTS[1], PROMPTS[0]]
    made = engine.generate(prompts, max_tokens=12, temperature=1.0)
    assert len({reply.text for reply in made}) == 5
    assert engine.generate(prompts, max_tokens=12, temperature=1.0) == made
    assert engine.generate([PROMPTS[0]] * 3, max_tokens=12, temperature=1.0) == [made[0], made[2], made[4]]


@pytest.mark.vllm
def test_a_prompt_too_long_for_the_model_is_that_prompts_failure(engine: Engine) -> None:
    replies = engine.generate(["q" * 600, "Why?"], max_tokens=8)
    assert (replies[0].text, replies[0].finished) == ("", False)
    assert replies[1].text
    choices = engine.choose(["q" * 600, "Why?"], [("A", "B")] * 2)
    assert [choice.option is None for choice in choices] == [True, False]


@pytest.mark.vllm
def test_the_verbs_of_a_run_share_one_model(inside: Engine, folder: Path) -> None:
    again = load_engine(config(folder, EngineName.vllm, seed=1), "a test")
    assert vars(again)["_llm"] is vars(inside)["_llm"]
    assert again.generate(PROMPTS[:1], max_tokens=4) == inside.generate(PROMPTS[:1], max_tokens=4)


@pytest.mark.vllm
def test_a_model_that_vllm_cannot_run_is_one_line(inside: Engine, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    for settings in (
        {"model": str(broken)},
        {"model": str(folder), "max_model_len": 10**6},
        {"model": str(folder), "dtype": "f"},
    ):
        with pytest.raises(UserError, match="vLLM cannot run") as caught:
            load_engine(LLMConfig(engine=EngineName.vllm, gpu_memory_utilization=0.2, **settings), "a test")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("", "needs llm.model"),
        ("/nowhere/at/all", "is not there"),
        ("{file}", "is a file"),
        ("{folder}", "aotd\\[vllm\\]"),
    ],
)
def test_what_a_person_must_mend_is_said(
    model: str, says: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    (tmp_path / "weights.gguf").touch()
    name = model.format(file=tmp_path / "weights.gguf", folder=folder)
    with pytest.raises(UserError, match=says):
        load_engine(LLMConfig(engine=EngineName.vllm, model=name), "a test")


class Scripted:
    """Stands for vLLM: writes a text behind each prompt, up to the limit that it is sent."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, text: str) -> None:
        self.tokenizer, self.text, self.limits = tokenizer, text, list[int]()

    def generate(self, prompts: list[Any], sampling: list[int], *, use_tqdm: bool) -> list[Any]:
        self.limits += sampling
        tokens = self.tokenizer(self.text, add_special_tokens=False)["input_ids"]
        made = []
        for limit in sampling:
            text = self.tokenizer.decode(tokens[:limit])
            out = SimpleNamespace(
                token_ids=tokens[:limit], text=text, finish_reason="length" if len(tokens) > limit else "stop"
            )
            made.append(SimpleNamespace(outputs=[out]))
        return made


def scripted(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[VLLMEngine, Scripted]:
    """An engine without vLLM."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = settings.pop("template", TEMPLATE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    engine, model = VLLMEngine.__new__(VLLMEngine), Scripted(tokenizer, text)
    engine.model, engine._setting, engine._batch, engine._seed = "tiny", "llm", 4, 0
    engine._thinking_tokens, engine._room = settings.get("thinking_tokens"), settings.get("room", 9999)
    engine._tokenizer, engine._llm = tokenizer, model
    monkeypatch.setattr(engine, "_sampling", lambda request, more: request.max_tokens + more)
    return engine, model


@pytest.mark.parametrize(("opening", "closing"), [("<think>", "</think>"), ("[THINK]", "[/THINK]")])
def test_thought_gets_room(opening: str, closing: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, model = scripted(folder, f"{opening}{'Why? ' * 99}{closing}A<s>", monkeypatch)
    (reply,) = engine.generate(["Which?"], max_tokens=16)
    assert (reply.text, reply.finished, reply.reasoning) == ("A", True, ("Why? " * 99).strip())
    assert model.limits == [16, 16 + THINKING_TOKENS]


def test_thought_that_the_template_opens_gets_room_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, model = scripted(folder, f"{'Why? ' * 99}</think>A", monkeypatch, template=TEMPLATE + "<think>")
    assert engine.generate(["Which?"], max_tokens=16)[0].text == "A"
    assert model.limits == [16 + THINKING_TOKENS]
    engine, model = scripted(folder, "Why? " * 9999, monkeypatch, template=TEMPLATE + "<think>", room=300)
    assert engine.generate(["Which?"], max_tokens=16)[0].silent


@pytest.mark.parametrize(("tokens", "limits"), [(None, [16]), (0, [16]), (50, [66])])
def test_what_is_said_is_no_longer_than_its_limit(
    tokens: int | None, limits: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, model = scripted(folder, "Why? " * 99, monkeypatch, thinking_tokens=tokens)
    (reply,) = engine.generate(["Which?"], max_tokens=16)
    assert (reply.reply_tokens, reply.finished, reply.silent) == (16, False, False)
    assert model.limits == limits
