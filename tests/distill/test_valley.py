"""Valley's two stages on tiny parts: what each trains, what it never trains, and that it goes on exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aotd.config.tree import Config
from aotd.distill import ArmConfig, StageConfig
from aotd.errors import UserError
from aotd.students import StudentConfig, TemporalKind, ValleySettings
from aotd.students.registry import load_student, new_student
from aotd.students.valley.student import ValleyStudent
from tests.corners import corner_config, write_run
from tests.distill.test_resume import killed_at
from tests.jobs import do
from tests.students.tiny import write_lm, write_vision

STAGES = [
    StageConfig(trainable=["projector", "temporal"], epochs=1, learning_rate=2e-3, questions_per_step=8),
    StageConfig(trainable=["projector", "temporal", "lm"], epochs=2, learning_rate=5e-4, adam_epsilon=1e-6),
]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return {
        "clip": write_vision("clip", folder / "clip"),
        "siglip": write_vision("siglip", folder / "siglip"),
        "lm": write_lm("llama", folder / "lm", num_hidden_layers=1),
    }


def config_of(run: Path, parts: dict[str, Path], encoder: str = "clip") -> Config:
    config = corner_config(run)
    made_of = ValleySettings(encoder=str(parts[encoder]), lm=str(parts["lm"]), frames_per_second=0.5)
    arms = {"valley": ArmConfig(rationales=False, require=[], stages=STAGES)}
    distill = replace(config.distill, arms=arms, save_steps=1, gradient_checkpointing=True)
    return replace(config, student=StudentConfig(frames=3, valley=made_of), distill=distill)


def weights(run: Path, stage: str = "") -> dict[str, Tensor]:
    return load_file(run / "distill/valley" / stage / "student/model.safetensors")


def beginning(config: Config) -> dict[str, Tensor]:
    student = new_student(config.student, config.specialists.frames, [], config.seed)
    return {name: weight.detach().clone() for name, weight in student.model.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_first_stage_trains_projector_and_temporal_module_only(
    run: Path, parts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.distill.train_arm.remove_leftovers", lambda *_: None)
    config = config_of(run, parts, "siglip")
    begun = beginning(config)
    do("distill", config)
    first, second = weights(run, "stages/1"), weights(run)
    moved = {name for name in begun if name.startswith(("projector.", "temporal."))}
    assert changed(begun, first) == moved
    assert changed(first, second) == moved | {name for name in begun if name.startswith("lm.")}
    student = load_student(run / "distill/valley/student", config.student)
    assert isinstance(student, ValleyStudent)
    start = new_student(config.student, config.specialists.frames, [], 7)
    assert student.feature_key == start.feature_key, "the encoder's digest is in it"
    lines = (run / "distill/valley/losses.jsonl").read_text().splitlines()
    assert [line.startswith('{"stage": 1') for line in lines] == [True] * 2 + [False] * 8, "batches of 8, then of 4"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("straight")


@pytest.mark.parametrize("call", [2, 9])
def test_stage_killed_between_steps_ends_in_the_same_weights(
    call: int, run: Path, straight: Path, parts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (straight / "distill").exists():
        write_run(straight)
        do("distill", config_of(straight, parts))
    killed_at(monkeypatch, "compute_loss", call, config_of(run, parts))
    assert not (run / "distill/valley/student").exists()
    do("distill", config_of(run, parts))
    assert not changed(weights(straight), weights(run))
    losses = "distill/valley/losses.jsonl"
    assert (straight / losses).read_text() == (run / losses).read_text()


def test_stage_without_weights_is_one_line(run: Path, parts: dict[str, Path]) -> None:
    config = config_of(run, parts)
    v1 = replace(config.student, valley=replace(config.student.valley, temporal=TemporalKind.v1))
    arms = {"valley": ArmConfig(rationales=False, require=[], trainable=["temporal"])}
    with pytest.raises(UserError, match=r"distill.arms.valley.trainable: this student has no weights in temporal"):
        do("distill", replace(config, student=v1, distill=replace(config.distill, arms=arms)))
