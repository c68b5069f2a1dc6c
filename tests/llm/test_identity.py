"""What pins a model, told without loading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.identity import identity
from tests.llm.test_replay import Counting, recorded


def of(engine: str, model: str, **settings: str) -> str:
    return identity(LLMConfig(engine=EngineName(engine), model=model, **settings))  # type: ignore[arg-type]


def test_a_server_is_its_models_name_and_not_its_address() -> None:
    assert of("openai", "org/large", url="http://127.0.0.1:9/v1") == "org/large"


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_folder_is_pinned_by_all_of_its_weights(tmp_path: Path, engine: str) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"a" * 3_000_000)
    before = of(engine, str(folder))
    assert before.startswith("tiny (")
    moved = folder.rename(tmp_path / "elsewhere")
    assert of(engine, str(moved)).split()[1] == before.split()[1]
    (moved / "model.safetensors").write_bytes(b"a" * 2_999_999 + b"b")
    assert of(engine, str(moved)).split()[1] != before.split()[1]


def test_a_gguf_file_is_pinned_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "one.gguf").write_bytes(b"one")
    (tmp_path / "two.gguf").write_bytes(b"two")
    one, two = (of("transformers", str(tmp_path / f"{name}.gguf")) for name in ("one", "two"))
    assert one == "one.gguf (7692c3ad3540)"
    assert one.split()[1] != two.split()[1]


def test_a_hub_id_is_pinned_by_the_commit_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--org--large"
    (kept / "snapshots" / commit).mkdir(parents=True)
    (kept / "snapshots" / commit / "config.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert of("transformers", "org/large") == "org/large (0123456789ab)"
    with pytest.raises(UserError, match=r"llm\.model: org/small cannot be found"):
        of("vllm", "org/small")


def test_a_replay_is_whose_replies_it_holds(tmp_path: Path) -> None:
    recorded(tmp_path / "replies.jsonl", Counting("large")).generate(["a"], max_tokens=4)
    assert of("replay", "", record=str(tmp_path / "replies.jsonl")) == "large"


@pytest.mark.parametrize(
    ("engine", "model", "says"),
    [
        ("none", "large", "llm=none with llm.model='large' names no language model"),
        ("openai", "", "llm=openai with llm.model='' names no language model"),
        ("transformers", "/nowhere/tiny", "/nowhere/tiny is not there"),
    ],
)
def test_no_model_is_one_line(engine: str, model: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        of(engine, model)
