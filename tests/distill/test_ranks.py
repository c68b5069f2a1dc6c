"""Two real processes: as one would have trained; and ZeRO-2 and ZeRO-3 killed, gone on with, and loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from aotd.students import StudentConfig
from aotd.students.registry import load_student
from tests.corners import write_run
from tests.students.tiny import write_lm, write_vision
from tests.video.clips import write_video

SIZES = ("image=16", "channels=16", "patches=1", "hidden=32", "layers=1", "heads=2")
SETTINGS = [
    *(f"student.valley.{size}" for size in (*SIZES, "vocabulary=400")),
    *("student.frames=2", "specialists.frames=8", "distill.only=[aotd]"),
    *("distill.epochs=12", "distill.questions_per_step=4", "distill.max_tokens_per_batch=300", "distill.save_steps=5"),
]


STAGES = (
    "distill.arms.aotd.stages=[{trainable:[projector],rationales:false,epochs:2},{trainable:[projector,lm],epochs:2}]"
)


def launch(run: Path, stage: str, *more: str) -> subprocess.Popen[str]:
    """`aotd distill` in two processes that torchrun starts."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(
            "-m",
            "aotd",
            "distill",
            f"run={run}",
            f"dataset.root={run}",
            f"distill.deepspeed={stage}",
            *SETTINGS,
            *more,
        ),
    ]
    with (run / "log.txt").open("w") as log:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(command, text=True, stdout=log, stderr=log, env=environment)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    together, alone = made(tmp_path / "together"), made(tmp_path / "alone")
    finish(together, "")
    words = ["distill", f"run={alone}", f"dataset.root={alone}", *SETTINGS]
    subprocess.run([sys.executable, "-m", "aotd", *words], check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    one, two = (
        [json.loads(line) for line in (run / "distill/aotd/losses.jsonl").read_text().splitlines()]
        for run in (alone, together)
    )
    assert len(one) == len(two) == 48
    for number, (a, b) in enumerate(zip(one, two, strict=True)):
        for term in ("label", "rationale"):
            # The same questions in every step; rounding grows from step to step.
            assert b[term] == pytest.approx(a[term], rel=1e-5 if number < 5 else 0.05)


def finish(run: Path, stage: str, *more: str) -> None:
    code = launch(run, stage, *more).wait(timeout=600)
    assert code == 0, (run / "log.txt").read_text()


def wait_for_checkpoint(run: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while not list((run / "distill/aotd/checkpoints").glob("*/whole")):
        assert process.poll() is None, (run / "log.txt").read_text()
        assert time.monotonic() < until
        time.sleep(0.05)


def made(folder: Path) -> Path:
    write_run(folder)
    for number in range(8):
        write_video(folder / f"{number}.mp4")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_killed_deepspeed_training_resumes_exactly_and_loads(stage: str, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    straight, killed = made(tmp_path / "straight"), made(tmp_path / "killed")
    finish(straight, stage)
    process = launch(killed, stage)
    wait_for_checkpoint(killed, process)
    # The launcher starts its workers in sessions of their own, so each is killed by itself.
    for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
        victim.kill()
    process.wait()
    assert not (killed / "distill/aotd/student").exists()
    finish(killed, stage)
    one, other = (load_file(run / "distill/aotd/student/model.safetensors") for run in (straight, killed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [(run / "distill/aotd/losses.jsonl").read_text() for run in (straight, killed)]
    assert losses[0] == losses[1]
    student = load_student(killed / "distill/aotd/student", StudentConfig())
    assert all(torch.equal(student.model.state_dict()[name], weight) for name, weight in other.items())


@pytest.mark.slow
def test_signal_to_one_process_stops_all_after_the_same_step(tmp_path: Path) -> None:
    straight, told = made(tmp_path / "straight"), made(tmp_path / "told")
    finish(straight, "")
    process = launch(told, "")
    wait_for_checkpoint(told, process)
    workers = [child for child in psutil.Process(process.pid).children() if "aotd" in child.cmdline()]
    assert len(workers) == 2
    workers[1].send_signal(signal.SIGUSR1)
    process.wait(timeout=120)
    assert "aotd: stopped by SIG" in (told / "log.txt").read_text()
    assert not (told / "distill/aotd/student").exists()
    finish(told, "")
    one, other = (load_file(run / "distill/aotd/student/model.safetensors") for run in (straight, told))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["", "zero2"])
def test_second_stage_killed_in_two_processes_resumes_exactly(stage: str, tmp_path: Path) -> None:
    if stage:
        pytest.importorskip("deepspeed")
    straight, killed = made(tmp_path / "straight"), made(tmp_path / "killed")
    finish(straight, stage, STAGES)
    process = launch(killed, stage, STAGES)
    wait_for_checkpoint(killed, process)
    assert (killed / "distill/aotd/stages/1/student").is_dir()
    for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
        victim.kill()
    process.wait()
    finish(killed, stage, STAGES)
    one, other = (load_file(run / "distill/aotd/student/model.safetensors") for run in (straight, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [(run / "distill/aotd/losses.jsonl").read_text() for run in (straight, killed)]
    assert losses[0] == losses[1]
    assert [json.loads(line)["stage"] for line in losses[0].splitlines()] == [1] * 8 + [2] * 8


def valley_words(folder: Path) -> list[str]:
    """Settings of a valley of tiny parts and of its two stages."""
    return [
        f"student.valley.encoder={write_vision('clip', folder / 'clip')}",
        f"student.valley.lm={write_lm('llama', folder / 'lm', num_hidden_layers=1)}",
        "student.valley.frames_per_second=2",
        "distill.gradient_checkpointing=true",
        "distill.arms.aotd.stages=[{trainable:[projector,temporal],rationales:false,epochs:2,questions_per_step:8},"
        "{trainable:[projector,temporal,lm],rationales:false,epochs:5,learning_rate:5e-4}]",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["", "zero2"])
def test_two_processes_train_valleys_stages_and_resume_exactly(stage: str, tmp_path: Path) -> None:
    if stage:
        pytest.importorskip("deepspeed")
    words = valley_words(tmp_path)
    straight, killed = made(tmp_path / "straight"), made(tmp_path / "killed")
    finish(straight, stage, *words)
    process = launch(killed, stage, *words)
    wait_for_checkpoint(killed, process)
    assert (killed / "distill/aotd/stages/1/student").is_dir(), "a checkpoint comes after five steps, in stage 2"
    first = load_file(killed / "distill/aotd/stages/1/student/model.safetensors")
    for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
        victim.kill()
    process.wait()
    finish(killed, stage, *words)
    one, other = (load_file(run / "distill/aotd/student/model.safetensors") for run in (straight, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    vision = load_file(tmp_path / "clip/model.safetensors")
    frozen = {name: weight for name, weight in one.items() if name.startswith("encoder.")}
    assert frozen
    for name, weight in frozen.items():
        assert torch.equal(weight, vision[name.replace("encoder.vision.", "vision_model.")])
    lm = load_file(tmp_path / "lm/model.safetensors")
    assert all(torch.equal(weight, first[f"lm.{name}"]) for name, weight in lm.items()), "not in stage 1"
    assert not any(torch.equal(weight, one[f"lm.{name}"]) for name, weight in lm.items()), "but in stage 2"
