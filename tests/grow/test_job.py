"""`aotd grow`: what it refuses, and that a student does not depend on workers or on where it was stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from aotd.datasets.playroom import Difficulty
from aotd.errors import UserError
from aotd.grow import EncoderSizes, GrowConfig, GrowthStage, GrowthStageName
from aotd.grow.eyes import new_encoder
from aotd.grow.job import job
from aotd.grow.scenes import SceneSource
from aotd.grow.speak import lesson_texts
from aotd.specialists import SpecialistsConfig
from aotd.store.files import file_digest
from aotd.store.run import Run
from aotd.students import StudentConfig, ValleySettings
from aotd.students.growth import Growth, growth_of
from aotd.students.packaged import student_folder
from aotd.students.registry import load_student
from aotd.students.valley.student import new_valley

EYES = GrowthStage(GrowthStageName.eyes, steps=2, batch=8)
SPEAK = GrowthStage(GrowthStageName.speak, steps=2, batch=2)
STUDENT = StudentConfig(frames=32)


@pytest.mark.parametrize(
    ("grow", "student", "error"),
    [
        (GrowConfig(stages=[SPEAK]), STUDENT, "grow.stages must begin with the stage eyes"),
        (GrowConfig(stages=[EYES]), STUDENT, "go on with one or more stages speak or obey"),
        (GrowConfig(stages=[EYES, SPEAK, EYES]), STUDENT, "grow.stages must begin with the stage eyes"),
        (GrowConfig(stages=[replace(EYES, steps=0), SPEAK]), STUDENT, r"grow.stages\[0\]: steps and batch must be 1"),
        (GrowConfig(encoder=EncoderSizes(width=120)), STUDENT, "width=120 and height=96 must be multiples of 16"),
        (GrowConfig(encoder=EncoderSizes(blocks=0)), STUDENT, "grow.encoder.blocks=0 must be from 1 to 64"),
        (GrowConfig(encoder=EncoderSizes(cells=4)), STUDENT, "grow.encoder.cells=4 must be from 8 to 4096"),
        (GrowConfig(workers=0), STUDENT, "grow.workers=0 must be 1 or more"),
        (GrowConfig(save_steps=-1), STUDENT, "grow.save_steps=-1 must be 0"),
        (GrowConfig(encoder=EncoderSizes(width=96)), STUDENT, "width=96 and height=96 must be .* as 256 to 192"),
        (GrowConfig(), replace(STUDENT, path="x"), "student.path=x has its eyes: grow.stages must be one or more"),
        (GrowConfig(stages=[]), replace(STUDENT, path="x"), "student.path=x has its eyes: grow.stages must be one or"),
        (GrowConfig(stages=[SPEAK]), replace(STUDENT, path="x"), "x holds no student"),
        (GrowConfig(stages=[SPEAK]), replace(STUDENT, path="packaged:x"), "packaged:x: no such student comes with"),
        (GrowConfig(), replace(STUDENT, valley=ValleySettings(lm="x")), "leave out student.valley.encoder and"),
        (GrowConfig(), StudentConfig(frames=16), "student.frames=16: .* set student.frames=32"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    grow: GrowConfig, student: StudentConfig, error: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=error):
        job(Run(tmp_path), grow=grow, student=student, specialists=SpecialistsConfig(), seed=0)
    assert not list(tmp_path.iterdir())


def test_folder_that_was_grown_in_other_stages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "grow/stages/1_eyes").mkdir(parents=True)
    (tmp_path / "grow/stages/3_obey").mkdir()
    with pytest.raises(UserError, match=r"was grown in other stages: delete .*, or set run to another folder"):
        job(
            Run(tmp_path),
            grow=GrowConfig(stages=[EYES, SPEAK]),
            student=STUDENT,
            specialists=SpecialistsConfig(),
            seed=0,
        )


SMALL = [
    "student.frames=32", "student.valley.hidden=32", "student.valley.layers=1", "student.valley.heads=2",
    "grow.encoder.cells=16", "grow.encoder.blocks=1", "grow.save_steps=2",
    "grow.stages=[{name: eyes, steps: 6, batch: 8},{name: speak, steps: 4, batch: 2},{name: obey, steps: 2, batch: 2}]"
]  # fmt: skip


def command(run: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "aotd", "grow", f"run={run}", *SMALL, *words]


def student_digest(run: Path) -> str:
    return file_digest(*sorted((run / "grow/student").iterdir()))


@pytest.mark.slow
def test_student_does_not_depend_on_workers_or_on_where_it_was_stopped(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "one"), check=True)
    whole = student_digest(tmp_path / "one")
    stopped = subprocess.Popen(command(tmp_path / "two", "grow.workers=2"), start_new_session=True)
    losses = tmp_path / "two/grow/stages/1_eyes/losses.jsonl"
    while not (losses.is_file() and losses.read_text().count("\n") >= 3):
        assert stopped.poll() is None
        time.sleep(0.05)
    os.killpg(stopped.pid, signal.SIGTERM)
    assert stopped.wait(120) == 128 + signal.SIGTERM
    subprocess.run(command(tmp_path / "two", "grow.workers=2"), check=True)
    assert student_digest(tmp_path / "two") == whole
    grown = load_student(tmp_path / "one/grow/student", StudentConfig())
    assert grown.specialist_frames == 32
    before = (tmp_path / "one/grow/student/model.safetensors").stat().st_mtime_ns
    subprocess.run(command(tmp_path / "one"), check=True)
    assert (tmp_path / "one/grow/student/model.safetensors").stat().st_mtime_ns == before
    refused = subprocess.run(command(tmp_path / "one", "seed=1"), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "was grown with other settings: delete it, or set run to another folder" in refused.stderr


@pytest.mark.parametrize(
    ("grown_json", "error"),
    [
        (
            '{"seed": 1, "scenes": 3, "difficulty": "standard"}',
            "grew on scenes of grow.scenes=1 grow.difficulty=standard",
        ),
        ("", r"does not say what it grew on \(grown.json\)"),
    ],
)
def test_student_that_grew_on_other_scenes_is_no_beginning(grown_json: str, error: str, tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    shutil.copytree(student_folder("packaged:valley_grown"), folder)
    (folder / "grown.json").unlink()
    if grown_json:
        (folder / "grown.json").write_text(grown_json)
    config = StudentConfig(frames=32, path=str(folder))
    with pytest.raises(UserError, match=error):
        job(
            Run(tmp_path / "run"),
            grow=GrowConfig(stages=[SPEAK]),
            student=config,
            specialists=SpecialistsConfig(),
            seed=0,
        )


@pytest.mark.slow
def test_student_goes_on_from_one_that_was_grown(tmp_path: Path) -> None:
    source = SceneSource(5, Difficulty.standard, 32, (128, 96))
    sizes = ValleySettings(hidden=32, layers=1, heads=2)
    begun = new_valley(
        StudentConfig(frames=32, valley=sizes), 32, lesson_texts(source, 3), 0, new_encoder(EncoderSizes(blocks=1), 0)
    )
    begun.save(tmp_path / "begun")
    growth = Growth(seed=5, scenes=3, difficulty="standard")
    (tmp_path / "begun/grown.json").write_text(growth.model_dump_json())
    config = StudentConfig(frames=32, path=str(tmp_path / "begun"))
    grow = GrowConfig(stages=[replace(SPEAK, steps=1), replace(SPEAK, name=GrowthStageName.obey, steps=1)], scenes=5)
    run = Run(tmp_path / "run")
    job(run, grow=grow, student=config, specialists=SpecialistsConfig(), seed=0)
    grown = load_student(tmp_path / "run/grow/student", StudentConfig())
    before, after = begun.model.state_dict(), grown.model.state_dict()
    for name, weight in before.items():
        if name.startswith("encoder."):
            assert torch.equal(weight.half().float(), after[name]), name
    assert not torch.equal(before["projector.weight"].half().float(), after["projector.weight"])
    text = (tmp_path / "run/grow/student/README.md").read_text(encoding="utf-8")
    assert sha256((tmp_path / "run/grow/student/model.safetensors").read_bytes()).hexdigest() in text
    assert "| obey | 1 | 2 | 0.002 |" in text
    growth = growth_of(tmp_path / "run/grow/student")
    assert growth == Growth(seed=5, scenes=100, difficulty="standard")
