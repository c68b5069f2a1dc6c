"""A model in this process is asked once for a reply, in all runs that share a cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.base import Engine, GenerationRequest, Message, Prompt, Reply
from aotd.llm.cached import CachedEngine
from aotd.llm.load import ENGINES, load_engine, release_engines
from aotd.store.cache import Cache


class Echo(Engine):
    """Says what it is asked, with a number for the sample; refuses long prompts."""

    model = "echo"
    made = 0

    def __init__(self, config: LLMConfig) -> None:
        type(self).made += 1
        self.seed, self.asked = config.seed, []  # type: ignore[var-annotated]

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        for request in requests:
            self.asked.append(request.text)
            text = f"{request.text} {request.sample} {request.options[:1]} {self.seed}"
            refused = len(request.text) > 80
            yield request, Reply("" if refused else text, not refused, 3, 0 if refused else 2, bool(request.options))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "made", 0)
    for name in (EngineName.transformers, EngineName.vllm, EngineName.openai):
        monkeypatch.setitem(ENGINES, name, Echo)
    release_engines()


def engine(path: Path, cache: Path, **settings: Any) -> Engine:
    """An engine as a new process loads it."""
    release_engines()
    config = LLMConfig(engine=EngineName.transformers, model=str(path))
    return load_engine(replace(config, **settings), "decompose.author=llm", Cache(cache, 1.0))


def test_a_second_run_loads_no_model(model: Path, tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        asked = engine(model, tmp_path / "cache")
        assert asked.model == "model"
        told.append(
            (
                asked.generate(["a", "b", "a"], max_tokens=5),
                asked.generate(["a", "a"], max_tokens=5, temperature=1.0),
                asked.choose(["a"], [("A", "B")]),
            )
        )
    assert told[0] == told[1]
    assert [reply.text for reply in told[0][1]] == ["a 0 () 0", "a 1 () 0"]
    assert all(reply.recorded for reply in told[1][0] + told[1][1])
    assert not any(reply.recorded for reply in told[0][0])
    assert Echo.made == 1


@pytest.mark.parametrize(
    "other",
    [
        {"dtype": "bfloat16"}, {"engine": EngineName.vllm}, {"weights": b"others"}, {"template": "{{ other }}"},
        {"max_tokens": 6}, {"seed": 1, "temperature": 1.0}, {"temperature": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_decides_a_reply_is_in_its_key(other: dict[str, Any], model: Path, tmp_path: Path) -> None:
    how = {"max_tokens": 5, "temperature": other.get("temperature", 0.0)}
    if "seed" not in other:
        how["temperature"] = 0.0
    engine(model, tmp_path / "cache").generate(["a"], **how)
    if "weights" in other:
        (model / "model.safetensors").write_bytes(other["weights"])
    if "template" in other:
        (model / "chat_template.jinja").write_text(other["template"])
    settings = {name: other[name] for name in ("dtype", "engine", "seed") if name in other}
    again = engine(model, tmp_path / "cache", **settings)
    how |= {name: other[name] for name in ("max_tokens", "temperature") if name in other}
    assert not again.generate(["a"], **how)[0].recorded
    assert Echo.made == 2


def test_key_of_a_single_message_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys were computed before requests had messages and stop strings."""
    monkeypatch.setattr("aotd.llm.cached.code", lambda *_: "code")
    monkeypatch.setattr("aotd.llm.cached.identity", lambda _: "tiny (0123)")
    cached = CachedEngine(LLMConfig(EngineName.transformers, "tiny", seed=7), Cache(), Echo)
    requests = [
        GenerationRequest.from_prompt("Why?\nBecause “so”.", 5),
        GenerationRequest.from_prompt("Why?", 9, 0.7, 3),
        GenerationRequest.from_prompt("Yes or no?", 16, options=("Yes", "No")),
    ]
    assert [(cached._key(request), request.seed(7)) for request in requests] == [
        ("0f4d9f980afdee4c951da43f49a17f7a", 1502965462),
        ("b64324e5f79acac89d2a10db5cea2356", 1359039460),
        ("e30085fc75457b91c6e4e88bb18dcbe1", 1392796703),
    ]


def test_messages_and_stop_strings_are_in_the_key(model: Path, tmp_path: Path) -> None:
    chat = [Message("system", "a"), Message("user", "a")]
    as_text = GenerationRequest.from_prompt(chat, 5).text
    asks: list[tuple[Prompt, list[str]]] = [("a", []), ("a", ["x"]), ("a", ["x", "y"]), (chat, []), (as_text, [])]
    first, again = engine(model, tmp_path / "cache"), engine(model, tmp_path / "cache")
    for prompt, stop in asks:
        assert not first.generate([prompt], max_tokens=5, stop=stop)[0].recorded
    for prompt, stop in asks[:-1]:
        assert again.generate([prompt], max_tokens=5, stop=stop)[0].recorded


def test_greedy_replies_do_not_depend_on_the_seed(model: Path, tmp_path: Path) -> None:
    engine(model, tmp_path / "cache").generate(["a"], max_tokens=5)
    assert engine(model, tmp_path / "cache", seed=1).generate(["a"], max_tokens=5)[0].recorded


def test_a_refused_prompt_is_asked_again(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert engine(model, tmp_path / "cache").generate(["a" * 90], max_tokens=5)[0].refused
    assert Echo.made == 2


def test_what_a_server_says_is_not_kept(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        asked = engine(model, tmp_path / "cache", engine=EngineName.openai, model="some-name")
        assert not asked.generate(["a"], max_tokens=5)[0].recorded
    assert not (tmp_path / "cache").exists()


def test_a_model_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        engine(tmp_path / "none" / "model", tmp_path / "cache")


def test_a_reply_that_somebody_wrote_is_not_believed(model: Path, tmp_path: Path) -> None:
    first = engine(model, tmp_path / "cache")
    assert isinstance(first, CachedEngine)
    first.generate(["a"], max_tokens=5)
    name = first._key(GenerationRequest.from_prompt("a", 5))
    Cache(tmp_path / "cache", 1.0).put(f"{name}.reply", name, '{"text": 1}')
    assert engine(model, tmp_path / "cache").generate(["a"], max_tokens=5)[0].text == "a 0 () 0"


def test_a_record_stands_before_the_cache(model: Path, tmp_path: Path) -> None:
    record = str(tmp_path / "said.jsonl")
    engine(model, tmp_path / "cache", record=record).generate(["a"], max_tokens=5)
    assert engine(model, tmp_path / "other", record=record).generate(["a"], max_tokens=5)[0].recorded
    assert Echo.made == 1


def test_reasoning_and_the_room_for_it(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def thinking(_: Echo, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        for request in requests:
            yield request, Reply.from_text("<think>hm</think>A", True, 3, 2)

    monkeypatch.setattr(Echo, "stream", thinking)
    first = engine(model, tmp_path / "cache").generate(["a"], max_tokens=8)
    again = engine(model, tmp_path / "cache").generate(["a"], max_tokens=8)
    assert again == first
    assert (again[0].text, again[0].reasoning, again[0].recorded) == ("A", "hm", True)
    assert not engine(model, tmp_path / "cache", thinking_tokens=9).generate(["a"], max_tokens=8)[0].recorded
