"""Every experiment that ships is a whole set of settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from aotd.config import compose, shipped
from aotd.datasets.base import READERS
from aotd.errors import UserError
from aotd.students import StudentName

EXPERIMENTS = sorted(path.stem for path in (shipped("configs") / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_composes(name: str) -> None:
    assert compose([f"experiment={name}"]).verbs


def test_the_papers_recipe() -> None:
    config = compose(["experiment=paper"])
    assert config.student.name is StudentName.llava_next_video
    assert config.student.frames == config.specialists.frames == 32
    recipe = config.distill
    assert (recipe.learning_rate, recipe.warmup_ratio, recipe.batch, recipe.epochs) == (4e-5, 0.03, 48, 1)
    assert recipe.rationale_weight == 1
    assert recipe.bf16


def test_the_papers_mixture() -> None:
    config = compose(["experiment=paper_mixture"])
    assert config.distill.learning_rate == compose(["experiment=paper"]).distill.learning_rate
    parts = {Path(part.run).name: part for part in config.distill.mixture}
    assert set(parts) <= {name.value for name in READERS}
    assert sum(part.questions for part in parts.values()) == 158_600
    assert [name for name, part in parts.items() if not part.thoughts] == ["clevrer", "egoqa"]


def test_replication_compares_what_it_trains() -> None:
    config = compose(["experiment=replication"])
    assert len(config.distill.seeds) >= 3
    assert set(config.distill.arms) < set(config.evaluate.arms)
    assert config.evaluate.reference in config.distill.arms


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
def test_a_strangers_config_learns_nothing_of_the_environment(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    with pytest.raises(UserError, match=r"oc\.env") as caught:
        compose(["experiment=theirs"], own_file(tmp_path, text))
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", ["run=${oc.env:A_SECRET}", "llm=${oc.env:A_SECRET}", "run=x/${oc.env:A_SECRET}"])
def test_the_command_line_does_not_read_the_environment_either(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    with pytest.raises(UserError, match=r"oc\.env") as caught:
        compose([word])
    assert SECRET not in str(caught.value)


def test_others_in_the_same_process_keep_their_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    compose([])
    with pytest.raises(UserError):
        compose(["run=${oc.env:A_SECRET}"])
    assert OmegaConf.create({"a": "${oc.env:A_SECRET}"}).a == SECRET


def test_one_setting_may_name_another() -> None:
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
def test_a_strangers_config_holds_values_only(text: str, says: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(UserError, match=says) as caught:
        compose(["experiment=theirs"], own_file(tmp_path, text.replace("{canary}", str(canary))))
    assert str(caught.value).isprintable()
    assert not canary.exists()


def test_a_config_that_is_not_text(tmp_path: Path) -> None:
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
        ("experiment=../../../x", "Could not find"),
    ],
)
def test_odd_words_are_refused(word: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        compose([word])
