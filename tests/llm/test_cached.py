"""A model in this process is asked once for a reply, in all runs that share a cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.base import Ask, Engine, Reply
from aotd.llm.cached import Cached
from aotd.llm.load import ENGINES, load_engine
from aotd.store.cache import Cache


class Echo(Engine):
    """Says what it is asked, with a number for the sample; refuses long prompts."""

    model = "echo"
    made = 0

    def __init__(self, config: LLMConfig) -> None:
        type(self).made += 1
        self.seed, self.asked = config.seed, []  # type: ignore[var-annotated]

    def stream(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Reply]]:
        for ask in asks:
            self.asked.append(ask.prompt)
            text = f"{ask.prompt} {ask.sample} {ask.options[:1]} {self.seed}"
            refused = len(ask.prompt) > 20
            yield ask, Reply("" if refused else text, not refused, 3, 0 if refused else 2, bool(ask.options))


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


def engine(path: Path, cache: Path, **settings: Any) -> Engine:
    config = LLMConfig(engine=EngineName.transformers, model=str(path))
    return load_engine(replace(config, **settings), "decompose.author=llm", Cache(cache, 1.0))


def test_a_second_run_loads_no_model(model: Path, tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        asked = engine(model, tmp_path / "cache")
        assert asked.model == "model"
        told.append(
            (
                asked.complete(["a", "b", "a"], max_tokens=5),
                asked.complete(["a", "a"], max_tokens=5, temperature=1.0),
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
    engine(model, tmp_path / "cache").complete(["a"], **how)
    if "weights" in other:
        (model / "model.safetensors").write_bytes(other["weights"])
    if "template" in other:
        (model / "chat_template.jinja").write_text(other["template"])
    settings = {name: other[name] for name in ("dtype", "engine", "seed") if name in other}
    again = engine(model, tmp_path / "cache", **settings)
    how |= {name: other[name] for name in ("max_tokens", "temperature") if name in other}
    assert not again.complete(["a"], **how)[0].recorded
    assert Echo.made == 2


def test_greedy_replies_do_not_depend_on_the_seed(model: Path, tmp_path: Path) -> None:
    engine(model, tmp_path / "cache").complete(["a"], max_tokens=5)
    assert engine(model, tmp_path / "cache", seed=1).complete(["a"], max_tokens=5)[0].recorded


def test_a_refused_prompt_is_asked_again(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert engine(model, tmp_path / "cache").complete(["a" * 30], max_tokens=5)[0].refused
    assert Echo.made == 2


def test_what_a_server_says_is_not_kept(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        asked = engine(model, tmp_path / "cache", engine=EngineName.openai, model="some-name")
        assert not asked.complete(["a"], max_tokens=5)[0].recorded
    assert not (tmp_path / "cache").exists()


def test_a_model_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        engine(tmp_path / "none" / "model", tmp_path / "cache")


def test_a_reply_that_somebody_wrote_is_not_believed(model: Path, tmp_path: Path) -> None:
    first = engine(model, tmp_path / "cache")
    assert isinstance(first, Cached)
    first.complete(["a"], max_tokens=5)
    name = first._key(Ask("a", 5))
    Cache(tmp_path / "cache", 1.0).put(f"{name}.reply", name, '{"text": 1}')
    assert engine(model, tmp_path / "cache").complete(["a"], max_tokens=5)[0].text == "a 0 () 0"


def test_a_record_stands_before_the_cache(model: Path, tmp_path: Path) -> None:
    record = str(tmp_path / "said.jsonl")
    engine(model, tmp_path / "cache", record=record).complete(["a"], max_tokens=5)
    assert engine(model, tmp_path / "other", record=record).complete(["a"], max_tokens=5)[0].recorded
    assert Echo.made == 1
