"""Language models by role: settings that fall back to `llm`, and one engine for equal settings."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aotd.agents.program.assignment import program_assignment
from aotd.commands.run import narrowed
from aotd.config.command_line import read_settings
from aotd.config.help import settings_text
from aotd.config.tree import llm_roles
from aotd.convert import ConvertConfig, WriterName
from aotd.convert.job import load_writer
from aotd.decompose import Author, DecomposeConfig
from aotd.decompose.job import load_author
from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig, RoleLLMConfig, role_llm
from aotd.llm.base import Engine, GenerationRequest, Reply
from aotd.llm.load import ENGINES, load_engine, release_engines
from aotd.records import Program, Question
from aotd.store.run import Run
from aotd.tools.video import VIDEO_TOOLS
from aotd.verify import Judge, VerifyConfig
from aotd.verify import job as verify_job
from tests.sample_run import program, question, write

CODER = RoleLLMConfig(engine=EngineName.openai, model="coder")
LLAMA = LLMConfig(EngineName.openai, "llama", batch=3, record="")
LOCAL = LLMConfig(EngineName.transformers, "llama", batch=3)
ROLES = ("decompose.llm", "convert.llm", "verify.llm", "evaluate.judge.llm")


class Silent(Engine):
    """Counts how often it was loaded."""

    loaded = 0

    def __init__(self, config: LLMConfig) -> None:
        type(self).loaded += 1
        self.model = config.model

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[GenerationRequest, Reply]]:
        yield from ()


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Silent, "loaded", 0)
    for name in (EngineName.openai, EngineName.transformers):
        monkeypatch.setitem(ENGINES, name, Silent)
    release_engines()
    gc.collect()
    yield
    release_engines()


def test_role_that_sets_nothing_is_llm() -> None:
    assert role_llm(LLAMA, RoleLLMConfig(), "convert.llm") is LLAMA
    assert (LLAMA.setting, LLAMA.choice) == ("llm", "llm=openai")


def test_role_falls_back_to_llm() -> None:
    coder = role_llm(LLAMA, RoleLLMConfig(model="coder", retries=0), "decompose.llm")
    assert (coder.engine, coder.model, coder.batch, coder.retries) == (EngineName.openai, "coder", 3, 0)
    assert (coder.setting, coder.choice) == ("decompose.llm", "decompose.llm.engine=openai")
    assert vars(RoleLLMConfig()).keys() == vars(LLMConfig()).keys()


@pytest.mark.parametrize("role", ROLES)
def test_role_is_set_field_by_field_or_by_group(role: str) -> None:
    config = read_settings("run", [f"{role}.engine=openai", f"{role}.model=coder", "llm=vllm", "llm.model=llama"])
    coder = role_llm(config.llm, llm_roles(config)[role], role)
    assert (coder.engine, coder.model, coder.dtype) == (EngineName.openai, "coder", "bfloat16")
    config = read_settings("run", [f"llm@{role}=vllm", f"{role}.model=coder", "llm=transformers", "llm.model=llama"])
    coder = role_llm(config.llm, llm_roles(config)[role], role)
    assert (coder.engine, coder.model, coder.dtype, coder.batch) == (EngineName.vllm, "coder", "bfloat16", 256)
    assert (config.llm.dtype, config.llm.batch) == ("float32", 8)
    assert [own for own in ROLES if vars(llm_roles(config)[own]) != vars(RoleLLMConfig())] == [role]


def test_role_is_set_by_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "two.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /llm@decompose.llm: vllm\ndecompose: {llm: {model: coder}}\n"
    )
    config = read_settings("run", [f"configs={tmp_path}", "experiment=two"])
    assert (config.decompose.llm.engine, config.decompose.llm.model) == (EngineName.vllm, "coder")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("decompose.llm.batch=x", "decompose.llm.batch: 'x' is no whole number"),
        ("verify.llm.modle=x", "there is no setting verify.llm.modle: did you mean verify.llm.model"),
        ("evaluate.judge.llm.engine=gpt", "evaluate.judge.llm.engine: 'gpt' is none of none, transformers"),
        ("llm@convert.llm=gpt", "there is no llm=gpt"),
        ("llm@convert.llm=vllm,openai", "add -m to sweep"),
    ],
)
def test_mistake_in_a_role_names_the_setting(word: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_settings("run", [word])
    assert says in str(caught.value)


def test_settings_text_shows_what_a_role_sets() -> None:
    config = read_settings("decompose", ["decompose.llm.model=coder"])
    assert settings_text(config, "decompose.llm") == "model: coder\n"
    assert settings_text(config, "convert.llm") == "{}\n"


@pytest.mark.parametrize(
    ("role", "says"),
    [
        (RoleLLMConfig(model="coder"), "add decompose.llm.engine=transformers or"),
        (RoleLLMConfig(engine=EngineName.vllm), "decompose.llm.engine=vllm needs decompose.llm.model"),
        (RoleLLMConfig(engine=EngineName.vllm, model="/no/such/model"), "decompose.llm.model: /no/such/model is not"),
        (RoleLLMConfig(engine=EngineName.replay), "decompose.llm.engine=replay needs decompose.llm.record"),
        (RoleLLMConfig(engine=EngineName.replay, record="no.jsonl"), "decompose.llm.record: no.jsonl is not there"),
    ],
)
def test_engine_of_a_role_that_is_not_there_names_the_setting(role: RoleLLMConfig, says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_engine(role_llm(LLMConfig(), role, "decompose.llm"), "decompose.author=llm")
    assert says in str(caught.value)


def test_each_verb_loads_the_model_of_its_role(tmp_path: Path) -> None:
    write(tmp_path, "load", Question, [question("a")])
    write(tmp_path, "decompose", Program, [program("a")])
    decompose = DecomposeConfig(author=Author.llm, llm=CODER)
    author = load_author(decompose, LLAMA, None, VIDEO_TOOLS)
    assert (author.made_from["models"], author.batch) == ({"author": "coder"}, 3)
    repairs = program_assignment(Run(tmp_path), 1, decompose, LLAMA, None, VIDEO_TOOLS)
    assert repairs.decides()["models"] == {"mender": "coder"}
    writer = load_writer(ConvertConfig(writer=WriterName.llm, llm=RoleLLMConfig(model="writer")), LLAMA)
    assert writer is not None
    assert writer.model == "writer"
    verify = VerifyConfig(coherence=Judge.llm)
    config = read_settings("verify", [f"run={tmp_path}"])
    judge = verify_job._engine(Run(tmp_path), verify, LLAMA, config.cache)
    assert judge is not None
    assert judge.model == "llama"


def test_models_with_equal_settings_are_loaded_once() -> None:
    same = role_llm(LLMConfig(), RoleLLMConfig(engine=EngineName.transformers, model="llama", batch=3), "convert.llm")
    first = load_engine(LOCAL, "a test")
    assert load_engine(same, "a test") is first
    assert load_engine(role_llm(LOCAL, RoleLLMConfig(model="coder"), "decompose.llm"), "a test") is not first
    assert load_engine(LOCAL, "a test") is first, "somebody still uses it"
    assert Silent.loaded == 2


def test_one_model_at_most_is_held_for_the_next_verb() -> None:
    load_engine(LOCAL, "a test")
    load_engine(LOCAL, "a test")
    assert Silent.loaded == 1
    release_engines()
    gc.collect()
    load_engine(LOCAL, "a test")
    assert Silent.loaded == 2
    load_engine(role_llm(LOCAL, RoleLLMConfig(model="coder"), "decompose.llm"), "a test")
    gc.collect()
    load_engine(LOCAL, "a test")
    assert Silent.loaded == 4


def test_roles_of_a_shard_record_apart(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, "load", Question, [question("a")])
    (run / "state").mkdir()
    (run / "state" / "load.json").write_text('{"doing":"done","started_s":1,"lines":1}')
    words = [f"run={run}", "llm=openai", "llm.record=all.jsonl", "shard.number=1", "shard.of=2"]
    words += ["decompose.llm.record=coder.jsonl", "convert.llm.model=writer", "verify.llm.engine=replay"]
    config = read_settings("decompose", words)
    shard = narrowed("decompose", config)
    records = {role: role_llm(shard.llm, own, role).record for role, own in llm_roles(shard).items()}
    assert shard.llm.record == "all.1-of-2.jsonl"
    assert records == {
        "decompose.llm": "coder.1-of-2.jsonl",
        "convert.llm": "all.1-of-2.jsonl",
        "verify.llm": "all.jsonl",
        "evaluate.judge.llm": "all.1-of-2.jsonl",
        "instruct.llm": "all.1-of-2.jsonl",
    }
    assert narrowed("decompose", shard) == shard
    assert config.decompose.llm.record == "coder.jsonl"
