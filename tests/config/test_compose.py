"""Every experiment that ships is a whole set of settings."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from aotd.config.command_line import read_settings
from aotd.config.compose import compose
from aotd.config.texts import TypedText
from aotd.datasets.benchmarks import BENCHMARKS
from aotd.distill import Schedule
from aotd.distill.arms import arms_of
from aotd.errors import UserError
from aotd.records import Program
from aotd.store.shipped import shipped
from aotd.store.stage import Stage
from aotd.students import StudentName, TemporalKind

EXPERIMENTS = sorted(path.stem for path in (shipped("configs") / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_compose_each_experiment(name: str) -> None:
    assert compose([f"experiment={name}"]).verbs


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_files_are_short(name: str) -> None:
    text = (shipped("configs") / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 48
    written = yaml.safe_load(text)
    assert written["run"] == f"runs/{name}"
    assert written["verbs"]
    chosen = {group for override in written["defaults"] for group in override}
    needs = {"override /dataset", "override /specialists"}
    if "distill" in written["verbs"]:
        needs.add("override /student")
        assert {"only", "arms"} & set(written["distill"])
    assert needs <= chosen


def test_experiments_match_readme() -> None:
    assert {"demo", "replication", "paper", "star", "nextqa"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", ["star", "nextqa"])
def test_experiment_mixture_parts_match_runs(name: str) -> None:
    config, mixture = compose([f"experiment={name}"]), compose(["experiment=paper"]).distill.mixture
    (part,) = [part for part in mixture if part.run == config.run]
    assert part.root == config.dataset.root
    assert config.dataset.split == config.distill.split
    assert {"load", "convert", "verify"} <= set(config.verbs)


def test_experiment_paper_recipe() -> None:
    config = compose(["experiment=paper"])
    assert config.student.name is StudentName.llava_next_video
    assert config.student.frames == config.specialists.frames == 32
    recipe = config.distill
    assert (recipe.learning_rate, recipe.warmup_ratio, recipe.questions_per_step, recipe.epochs) == (4e-5, 0.03, 48, 1)
    assert recipe.rationale_weight == 1
    assert recipe.bf16


def test_experiment_paper_mixture() -> None:
    config = compose(["experiment=paper"])
    parts = {Path(part.run).name: part for part in config.distill.mixture}
    assert set(parts) <= set(BENCHMARKS)
    assert sum(part.questions for part in parts.values()) == 158_600
    assert [name for name, part in parts.items() if not part.thoughts] == ["clevrer", "egoqa"]


def test_experiment_valley_is_table_6() -> None:
    config = compose(["experiment=valley"])
    arms = arms_of(config.distill, config.student.lora_rank, config.seed)
    (name,) = config.distill.only
    first, second = arms[name].stages
    for stage in (first, second):
        assert (stage.adam_beta1, stage.adam_beta2, stage.adam_epsilon, stage.weight_decay) == (0.9, 0.95, 1e-6, 0)
        assert (stage.lr_scheduler_type, stage.warmup_ratio) == (Schedule.cosine, 0.03)
        assert not stage.rationales
        assert not stage.answer_suffix
    assert (first.trainable, first.learning_rate) == (("projector", "temporal"), 2e-3)
    assert (first.epochs, first.questions_per_step) == (1, 128)
    assert (second.trainable, second.learning_rate) == (("projector", "temporal", "lm"), 5e-5)
    assert (second.epochs, second.questions_per_step) == (3, 32)
    recipe, valley = config.distill, config.student.valley
    assert (recipe.bf16, recipe.deepspeed, recipe.gradient_checkpointing) == (True, "zero2", True)
    assert recipe.max_tokens_per_batch == 2048
    assert (valley.temporal, valley.frames_per_second, valley.frame_tokens) == (TemporalKind.v3, 0.5, True)
    assert config.student.frames == config.specialists.frames


def test_experiment_replication_compares_its_arms() -> None:
    config = compose(["experiment=replication"])
    assert len(config.distill.seeds) >= 3
    assert set(config.distill.arms) < set(config.evaluate.arms)
    assert config.evaluate.reference in config.distill.arms


def test_compose_same_words_give_settings_of_their_own() -> None:
    words, text = ["seed=3"], [TypedText(("llm", "model"), "m")]
    first = compose(words, texts=text)
    first.verbs.clear()
    second = compose(words)
    assert second.verbs
    assert (first.llm.model, second.llm.model) == ("m", "")


def own_file(folder: Path, text: str) -> str:
    (folder / "experiment").mkdir()
    (folder / "experiment" / "theirs.yaml").write_text(f"# @package _global_\n{text}\n")
    return str(folder)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    ["run: ${oc.env:A_SECRET}", "run: ${oc.env:ABSENT,x}", "run: ${oc.decode:${oc.env:A_SECRET}}",
     "llm:\n  model: a${oc.env:A_SECRET}", "defaults:\n  - /llm: ${oc.env:A_SECRET}"],
)  # fmt: skip
def test_compose_refuses_environment_in_files(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    with pytest.raises(UserError, match=r"oc\.env") as caught:
        compose(["experiment=theirs"], own_file(tmp_path, text))
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", ["run=${oc.env:A_SECRET}", "llm=${oc.env:A_SECRET}", "run=x/${oc.env:A_SECRET}"])
def test_compose_refuses_environment_in_overrides(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    with pytest.raises(UserError, match=r"oc\.env") as caught:
        compose([word])
    assert SECRET not in str(caught.value)


def test_compose_restores_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    compose([])
    with pytest.raises(UserError):
        compose(["run=${oc.env:A_SECRET}"])
    assert OmegaConf.create({"a": "${oc.env:A_SECRET}"}).a == SECRET


def test_compose_interpolates_settings() -> None:
    assert compose(["run=runs/${seed}", "seed=3"]).run == "runs/3"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("llm:\n  _target_: os.system", "_target_"),
        ("_target_: os.system", "_target_"),
        ("distill:\n  arms:\n    aotd:\n      _target_: os.system", "_target_"),
        ('run: !!python/object/apply:os.system ["touch {canary}"]', "python/object"),
        ("run: [", "theirs.yaml"),
        ("run: " + "[" * 5000, "nested too deeply"),
        ("- a\n- b", "settings"),
        ("run: ${run}", "Recursive interpolation"),
        ("run: ${hydra:runtime.cwd}", "resolving interpolation"),
    ],
    ids=["target", "target at the top", "target in an arm", "object", "torn", "deep", "list", "loop", "hydra"],
)
def test_compose_refuses_targets(text: str, says: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(UserError, match=says) as caught:
        compose(["experiment=theirs"], own_file(tmp_path, text.replace("{canary}", str(canary))))
    assert str(caught.value).isprintable()
    assert not canary.exists()


def test_compose_refuses_non_text_file(tmp_path: Path) -> None:
    own = own_file(tmp_path, "")
    (tmp_path / "experiment" / "theirs.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8"):
        compose(["experiment=theirs"], own)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("+a._target_=os.system", "no setting a "),
        ("+llm._target_=os.system", "_target_"),
        ("_target_=os.system", "_target_"),
        ("hydra.searchpath=[pkg://os]", "no setting hydra"),
        ("+hydra.job.name=x", "no setting hydra"),
        ("experiment=../../../x", "there is no experiment=../../../x"),
    ],
)
def test_compose_refuses_odd_overrides(word: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        compose([word])


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20))
LAUGHING_MAPS = "".join(
    f"m{n}: &m{n} {{{', '.join(f'k{at}: *m{n - 1}' for at in range(10))}}}\n" if n else "m0: &m0 {a: 1}\n"
    for n in range(20)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS + "verbs: *a19", "no aliases"),
        (LAUGHING_MAPS + "llm:\n  <<: *m19", "no aliases"),
        ("verbs: &a [*a]", "no aliases"),
        ("run: !!python/object:os.system {}", "python/object"),
        ("run: !!python/name:os.system", "python/name"),
        ("run: !theirs x", "!theirs"),
        ("seed: " + "9" * 5000, "settings: "),
        ("seed: 0x" + "f" * 100_000, "seed must be a number"),
        ("seed: " + ":".join(["59"] * 10_000), "seed must be a number"),
        ("specialists:\n  decode_deadline_s: .nan", "decode_deadline_s must be a number"),
        ("specialists:\n  decode_deadline_s: .inf", "decode_deadline_s must be a number"),
        ('run: "a\\0b"', "run holds a zero byte"),
        ('llm:\n  model: "\\ud800"', "llm.model holds a zero byte or half"),
        ("#" + "x" * (1 << 20), "is longer than 256 KiB"),
        ("run: x\nrun: y", "duplicate key"),
        ("? [a, b]\n: x", "unhashable key"),
        ("null: x", "settings: "),
        ("defaults:\n  - ../../../../etc/passwd", "Could not"),
        ("defaults:\n  - theirs", "nested too deeply"),
        ("hydra:\n  run:\n    dir: /tmp/x", "no setting hydra"),
        ("defaults:\n  - override /hydra/launcher: basic", "no setting hydra"),
        ("defaults:\n  - override hydra/job_logging@hydra.job_logging: none", "no setting hydra"),
        ("defaults:\n  - /hydra/launcher/basic", "no setting hydra"),
        ("defaults:\n  - /llm@hydra.launcher: openai", "no setting hydra"),
        ("# @package hydra.launcher\n_target_: os.abort", "no setting hydra"),
        ("nosuch: 1", "nosuch"),
    ],
)  # fmt: skip
def test_compose_hostile_config_is_one_quick_line(text: str, says: str, tmp_path: Path) -> None:
    own = own_file(tmp_path, text)
    started = time.monotonic()
    with pytest.raises(UserError, match=says) as caught:
        compose(["experiment=theirs"], own)
    assert str(caught.value).isprintable()
    assert time.monotonic() - started < 5


def test_compose_refuses_pipes_among_configs(tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    os.mkfifo(tmp_path / "llm" / "theirs.yaml")
    with pytest.raises(UserError, match="is no file"):
        compose(["llm=theirs"], str(tmp_path))


def test_compose_refuses_hydra_folder(tmp_path: Path) -> None:
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "hydra" / "launcher" / "basic.yaml").write_text("_target_: os.system")
    with pytest.raises(UserError, match="no setting hydra"):
        compose([], str(tmp_path))


@pytest.mark.parametrize(
    "word", ["seed=" + "9" * 5000, "seed=1e999", "llm.model=" + "[" * 3000, "nosuch=1", "llm=nosuch"]
)
def test_compose_refuses_odd_values(word: str) -> None:
    with pytest.raises(UserError, match="settings: ") as caught:
        compose([word])
    assert str(caught.value).isprintable()


NO_PLACES = ["{at}/file", "{at}/file/below", "{at}/nothing", "{at}/loop", "/dev/null", "/", "a\0b", "\ud800", "x" * 300]


@pytest.mark.parametrize("run", NO_PLACES)
def test_run_name_impossible_is_one_line(run: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "nothing").symlink_to(tmp_path / "absent")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    stage = Stage(Path(run.format(at=tmp_path)), "decompose", Program)
    with pytest.raises(UserError, match=r"run=") as caught:
        stage.open({})
    assert len(str(caught.value).splitlines()) == 1


def test_run_name_may_lead_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Stage(Path("../a\nb"), "decompose", Program).open({}):
        pass
    assert (tmp_path / "a\nb" / "decompose" / "manifest.json").is_file()


def test_run_without_a_name_is_refused() -> None:
    with pytest.raises(UserError, match="run= is empty: name the folder of the run"):
        read_settings("load", ["run="])
