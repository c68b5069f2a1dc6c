"""A training that was killed, or told to leave, ends in the same weights as one that was not."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from aotd.config.tree import Config
from aotd.distill import ArmConfig, StageConfig
from aotd.distill.checkpoint import newest
from aotd.distill.train import _Trainer
from aotd.distill.train_arm import _put_in_place
from aotd.runtime.signals import Stopped
from tests.corners import corner_config, write_run
from tests.jobs import do

STEPS = 8


def config_of(run: Path) -> Config:
    """One arm of eight steps of about three batches each, a checkpoint every other step."""
    config = corner_config(run)
    arms = {"aotd": config.distill.arms["aotd"]}
    return replace(
        config,
        distill=replace(config.distill, arms=arms, save_steps=2, max_tokens_per_batch=150, questions_per_video=2),
    )


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "distill/aotd/student/model.safetensors")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("straight")


@pytest.fixture
def uninterrupted(straight: Path, corners: None) -> Path:
    if not (straight / "distill").exists():
        write_run(straight)
        do("distill", config_of(straight))
    return straight


def assert_same(run: Path, uninterrupted: Path) -> None:
    one, other = weights(run), weights(uninterrupted)
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)
    losses = "distill/aotd/losses.jsonl"
    assert (run / losses).read_text() == (uninterrupted / losses).read_text()
    assert not (run / "distill/aotd/checkpoints").exists()


class Killed(BaseException):
    """As if the process had been killed."""


def killed_at(monkeypatch: pytest.MonkeyPatch, method: str, call: int, config: Config) -> None:
    """Train until a method of the trainer is called for the so-manieth time."""
    calls = 0
    whole = getattr(_Trainer, method)

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return whole(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(_Trainer, method, counted)
        with pytest.raises(Killed):
            do("distill", config)


def test_arm_killed_between_batches_of_a_step_resumes_exactly(
    run: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (uninterrupted / "distill/aotd/losses.jsonl").read_text().splitlines()
    assert len(lines) == STEPS
    killed_at(monkeypatch, "compute_loss", 17, config_of(run))
    start = newest(run / "distill/aotd/checkpoints")
    assert start is not None
    do("distill", config_of(run))
    assert_same(run, uninterrupted)


def test_arm_killed_while_a_checkpoint_is_written_resumes_exactly(
    run: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(monkeypatch, "_save_rng_state", 2, config_of(run))
    folder = run / "distill/aotd/checkpoints"
    assert (folder / "checkpoint-4").is_dir()
    assert newest(folder) == folder / "checkpoint-2"
    do("distill", config_of(run))
    assert_same(run, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_saves_a_checkpoint_and_stops(
    number: signal.Signals, run: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _Trainer.compute_loss

    def told(self: _Trainer, *arguments: Any, **named: Any) -> Any:
        if self.state.global_step == 2:
            os.kill(os.getpid(), number)
        return whole(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(_Trainer, "compute_loss", told)
        with pytest.raises(Stopped) as left:
            do("distill", config_of(run))
    assert left.value.number == number
    folder = run / "distill/aotd/checkpoints"
    assert newest(folder) == folder / "checkpoint-3"
    assert signal.getsignal(number) is signal.SIG_DFL
    do("distill", config_of(run))
    assert_same(run, uninterrupted)


def test_arm_killed_just_after_finishing_leaves_no_checkpoint(
    run: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("aotd.distill.train_arm._put_in_place", lambda partial: _put_in_place(partial) or die())
        with pytest.raises(Killed):
            do("distill", config_of(run))
    assert (run / "distill/aotd/checkpoints").exists()
    do("distill", config_of(run))
    assert_same(run, uninterrupted)


def die() -> None:
    raise Killed


STAGES = [StageConfig(trainable=["projector"], epochs=1, learning_rate=1e-2), StageConfig(max_steps=5)]
"""Four steps and five, of about three batches each."""


def staged(run: Path, save_steps: int = 2) -> Config:
    config = config_of(run)
    arms = {"aotd": ArmConfig(stages=STAGES)}
    return replace(config, distill=replace(config.distill, arms=arms, save_steps=save_steps))


@pytest.fixture(scope="module")
def straight_stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("straight_stages")


@pytest.fixture
def staged_uninterrupted(straight_stages: Path, corners: None) -> Path:
    if not (straight_stages / "distill").exists():
        write_run(straight_stages)
        do("distill", staged(straight_stages))
    return straight_stages


def files(run: Path) -> list[str]:
    """What a run's arms have on the disk."""
    folder = run / "distill/aotd"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_ends_the_same(run: Path, uninterrupted: Path, save_steps: int = 2) -> None:
    do("distill", staged(run, save_steps))
    assert_same(run, uninterrupted)
    assert files(run) == files(uninterrupted)


@pytest.mark.parametrize(("call", "stage", "checkpoint"), [(9, "stages/1", 2), (20, ".", None), (27, ".", 2)])
def test_stage_killed_between_batches_resumes_exactly(
    call: int,
    stage: str,
    checkpoint: int | None,
    run: Path,
    staged_uninterrupted: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed_at(monkeypatch, "compute_loss", call, staged(run))
    folder = run / "distill/aotd" / stage / "checkpoints"
    assert newest(folder) == (folder / f"checkpoint-{checkpoint}" if checkpoint else None)
    assert (run / "distill/aotd/stages/1/student").is_dir() is (stage == ".")
    assert_ends_the_same(run, staged_uninterrupted)


def test_finished_stage_is_not_trained_again_without_checkpoints(
    run: Path, staged_uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(monkeypatch, "compute_loss", 27, staged(run, 0))
    first = run / "distill/aotd/stages/1/student/model.safetensors"
    made = first.stat().st_mtime_ns
    killed_at(monkeypatch, "compute_loss", 2, staged(run, 0))
    assert first.stat().st_mtime_ns == made
    assert_ends_the_same(run, staged_uninterrupted, 0)


@pytest.mark.parametrize("name", ["_put_in_place", "load_student", "wait_for_all"])
def test_arm_killed_between_stages_resumes_exactly(
    name: str, run: Path, staged_uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"aotd.distill.train_arm.{name}", lambda *_: die())
        with pytest.raises(Killed):
            do("distill", staged(run))
    assert (run / "distill/aotd/stages/1/student").is_dir() is (name != "_put_in_place")
    assert_ends_the_same(run, staged_uninterrupted)


def test_arm_killed_before_earlier_students_are_removed_removes_them(
    run: Path, staged_uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("aotd.distill.train_arm.remove_leftovers", lambda *_: die())
        with pytest.raises(Killed):
            do("distill", staged(run))
    assert (run / "distill/aotd/stages/1/student").exists()
    assert_ends_the_same(run, staged_uninterrupted)


def test_signal_in_the_last_step_of_a_stage_ends_it_before_the_next(
    run: Path, staged_uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _Trainer.compute_loss

    def told(self: _Trainer, *arguments: Any, **named: Any) -> Any:
        if self.state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(_Trainer, "compute_loss", told)
        with pytest.raises(Stopped):
            do("distill", staged(run))
    assert (run / "distill/aotd/stages/1/student").is_dir()
    lines = (run / "distill/aotd/losses.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert_ends_the_same(run, staged_uninterrupted)
