"""grow: a student that sees, from nothing but rendered scenes.

    aotd grow experiment=grown
    aotd run experiment=demo student.path=runs/grown/grow/student
    aotd grow experiment=grown run=runs/more student=valley_grown 'grow.stages=[{name: obey, steps: 400, batch: 12}]'

Draws scenes of playroom that no world has, and trains a valley on them in
stages (grow.stages): `eyes` teaches the frame encoder where things and people
are, what is open or held and what is done; it is frozen afterwards and stands
for CLIP. `speak` teaches projector, temporal module and language model to tell
what it sees: actions with their frames, boxes, counts, states. `obey` adds
questions, answered in words, by letter and with reasons. None of them holds a
question of a type of the benchmark's.

With student.path it goes on from a student that was grown before.

Writes grow/stages/ with each stage's losses, and grow/student, in half
precision and with a card. A stage that was stopped goes on from its newest checkpoint (grow.save_steps). The same
settings give the same student, whatever grow.workers is.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from aotd.datasets.playroom.things import HEIGHT, WIDTH
from aotd.errors import UserError
from aotd.grow import GrowConfig, GrowthStage, GrowthStageName
from aotd.grow.card import card
from aotd.grow.encoders import is_saved, load_encoder, save_encoder
from aotd.grow.eyes import FIRST as FIRST_SCENES
from aotd.grow.eyes import NEW_PER_STEP as NEW_SCENES
from aotd.grow.eyes import SCENES as MOST_SCENES
from aotd.grow.eyes import draw_scene, frames_of_step, new_encoder
from aotd.grow.scenes import SceneSource
from aotd.grow.speak import FIRST, NEW_PER_STEP, SCENES, lesson_texts, see_scene, start_worker, videos_of_step
from aotd.grow.training import StageSchedule, train
from aotd.grow.window import Window
from aotd.runtime.output import say
from aotd.runtime.pools import worker_pool
from aotd.specialists import SpecialistsConfig
from aotd.store.files import digest, make_folder, sync_tree, write_atomically
from aotd.store.run import Run
from aotd.students import StudentConfig
from aotd.students.growth import GROWN, Growth, growth_of
from aotd.students.packaged import student_folder
from aotd.students.registry import load_student
from aotd.students.valley.grown_encoder import GrownEncoder
from aotd.students.valley.student import ValleyStudent, check_agrees, load_valley, new_valley

TEXT_SCENES = 400
"""Scenes whose lessons the tokenizer is trained on."""


def job(run: Run, *, grow: GrowConfig, student: StudentConfig, specialists: SpecialistsConfig, seed: int) -> None:
    """Grow a student, stage by stage.

    Raises:
        UserError: settings that do not fit together, other settings than those of the stages that are there, or a disk
            that takes no files.
        Stopped: a signal has come; the stage goes on from there.
    """
    _check(grow, student, specialists)
    torch.set_num_threads(1)  # the workers need the other cores; other numbers round otherwise and grow other students
    size = (grow.encoder.width, grow.encoder.height)
    source = SceneSource(grow.scenes, grow.difficulty, specialists.frames, size)
    stages = run.folder / "grow" / "stages"
    eyes = stages / ("0_eyes" if student.path else "1_eyes")
    names = [f"{number}_{stage.name.value}" for number, stage in enumerate(grow.stages, 1)]
    if stages.is_dir() and not {folder.name for folder in stages.iterdir()} <= {eyes.name, *names}:
        raise UserError(f"{stages} was grown in other stages: delete {stages.parent}, or set run to another folder")
    final = run.folder / "grow" / "student"
    if not (stages / names[-1] / "student").is_dir():
        shutil.rmtree(final, ignore_errors=True)  # it was grown in fewer stages
    begins: Path | None = None
    if student.path:
        begins = student_folder(student.path)
        _keep_encoder(begins, student, eyes)
        _check_goes_on(begins, grow, student.path)
    for number, stage in enumerate(grow.stages, 1):
        folder = stages / names[number - 1]
        make_folder(folder)
        _claim(folder, grow, grow.stages[:number], student, specialists, seed)
        if stage.name is GrowthStageName.eyes:
            _grow_eyes(grow, stage, source, seed, folder)
        else:
            _grow_speech(grow, stage, source, student, seed, begins, eyes, folder)
            begins = folder / "student"
    assert begins is not None
    if not final.is_dir():
        _save_half(load_valley(begins, student), grow, student.path, seed, final)
    say(f"grown: student.path={final} student.frames={student.frames}")


_SIZES = {"width": (16, 1024), "height": (16, 1024), "cells": (8, 4096), "blocks": (1, 64)}
"""What `GrownSettings` takes."""


def _check(grow: GrowConfig, student: StudentConfig, specialists: SpecialistsConfig) -> None:
    names = [stage.name for stage in grow.stages]
    if student.path:
        if not names or GrowthStageName.eyes in names:
            raise UserError(
                f"student.path={student.path} has its eyes: grow.stages must be one or more stages speak or obey, "
                "such as grow.stages=[{name: obey, steps: 400, batch: 12}]"
            )
    elif len(names) < 2 or names[0] is not GrowthStageName.eyes or GrowthStageName.eyes in names[1:]:
        raise UserError("grow.stages must begin with the stage eyes, and go on with one or more stages speak or obey")
    for number, stage in enumerate(grow.stages):
        if stage.steps < 1 or stage.batch < 1:
            raise UserError(f"grow.stages[{number}]: steps and batch must be 1 or more")
    if grow.workers < 1:
        raise UserError(f"grow.workers={grow.workers} must be 1 or more")
    if grow.save_steps < 0:
        raise UserError(f"grow.save_steps={grow.save_steps} must be 0 (no checkpoints) or more")
    for name, (least, most) in {
        "width": (16, 1024),
        "height": (16, 1024),
        "cells": (8, 4096),
        "blocks": (1, 64),
    }.items():
        if not least <= (value := getattr(grow.encoder, name)) <= most:
            raise UserError(f"grow.encoder.{name}={value} must be from {least} to {most}")
    width, height = grow.encoder.width, grow.encoder.height
    if width % 16 or height % 16 or width * HEIGHT != height * WIDTH:
        raise UserError(
            f"grow.encoder: width={width} and height={height} must be multiples of 16, and as {WIDTH} to {HEIGHT}, "
            "such as 128 and 96"
        )
    if student.valley.encoder or student.valley.lm:
        raise UserError("grow makes encoder and language model: leave out student.valley.encoder and student.valley.lm")
    if student.frames != specialists.frames:
        raise UserError(
            f"student.frames={student.frames}: a grown student sees every frame of the specialists': "
            f"set student.frames={specialists.frames}"
        )


def _claim(
    folder: Path,
    grow: GrowConfig,
    stages: Sequence[GrowthStage],
    student: StudentConfig,
    specialists: SpecialistsConfig,
    seed: int,
) -> None:
    """Write down what the last of some stages is grown with, so that no other settings go on with it."""
    settings: dict[str, Any] = {**asdict(grow), "frames": specialists.frames, "seed": seed}
    settings["stages"] = [asdict(stage) for stage in stages]
    if stages[-1].name is not GrowthStageName.eyes:  # the encoder is the same for every student
        # Its lessons ask for letters and for words, whatever it is asked for later.
        settings["student"] = {key: value for key, value in asdict(student).items() if key != "choice_reply"}
    own = digest({key: value for key, value in settings.items() if key not in ("workers", "save_steps")})
    path = folder / "settings.txt"
    if not path.is_file():
        write_atomically(path, own + "\n")
    elif path.read_text(encoding="utf-8").strip() != own:
        raise UserError(f"{folder} was grown with other settings: delete it, or set run to another folder")


def _grow_eyes(grow: GrowConfig, stage: GrowthStage, source: SceneSource, seed: int, folder: Path) -> None:
    if is_saved(folder):
        return
    encoder = new_encoder(grow.encoder, seed)
    schedule = StageSchedule(stage.steps, stage.learning_rate, grow.save_steps, (0.9, 0.98))
    with worker_pool(grow.workers) as pool:
        window = Window(partial(draw_scene, source), pool, first=FIRST_SCENES, per_step=NEW_SCENES, size=MOST_SCENES)
        losses = frames_of_step(encoder, window, stage.batch, seed, actions=grow.told_actions)
        train("grow: eyes", encoder, schedule, losses, folder)
    save_encoder(encoder, folder)
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def _grow_speech(
    grow: GrowConfig,
    stage: GrowthStage,
    source: SceneSource,
    config: StudentConfig,
    seed: int,
    begins: Path | None,
    eyes: Path,
    folder: Path,
) -> None:
    if (folder / "student").is_dir():
        return
    student = _begin_speech(config, source, seed, begins, eyes)
    student.trainable_model()
    schedule = StageSchedule(stage.steps, stage.learning_rate, grow.save_steps)
    with worker_pool(grow.workers, start_worker, eyes) as pool:
        window = Window(partial(see_scene, source), pool, first=FIRST, per_step=NEW_PER_STEP, size=SCENES)
        title = f"grow: {stage.name.value}"
        train(title, student.model, schedule, videos_of_step(student, window, stage, seed), folder)
    partial_student = folder / "student.partial"
    shutil.rmtree(partial_student, ignore_errors=True)
    student.save(partial_student)
    sync_tree(partial_student)
    partial_student.rename(folder / "student")
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def _begin_speech(
    config: StudentConfig, source: SceneSource, seed: int, begins: Path | None, eyes: Path
) -> ValleyStudent:
    """Return the student that a stage begins from: that of the stage before, or one with the grown eyes."""
    if begins is not None:
        return load_valley(begins, config)
    texts = lesson_texts(source, TEXT_SCENES)
    return new_valley(config, source.frames, texts, seed, load_encoder(eyes))


def _keep_encoder(student: Path, config: StudentConfig, folder: Path) -> None:
    """Put the encoder of a student that was grown before where that of stage eyes stands."""
    loaded = load_student(student, config)
    if not (isinstance(loaded, ValleyStudent) and isinstance(loaded.model.encoder, GrownEncoder)):
        raise UserError(f"student.path={config.path} was not grown: leave it out, and one is grown from nothing")
    check_agrees(config, loaded)
    if not is_saved(folder):
        make_folder(folder)
        save_encoder(loaded.model.encoder, folder)


def _check_goes_on(begins: Path, grow: GrowConfig, path: str) -> None:
    """Check that a student goes on with the scenes it began with, so that its folder can say what it has seen."""
    before = growth_of(begins)
    if before is None:
        raise UserError(f"student.path={path} does not say what it grew on ({GROWN}): name a folder that grow made")
    if (before.seed, before.difficulty) != (grow.scenes, grow.difficulty.value):
        raise UserError(
            f"student.path={path} grew on scenes of grow.scenes={before.seed} grow.difficulty={before.difficulty}: "
            "set these, to go on with it"
        )


def _save_half(student: ValleyStudent, grow: GrowConfig, path: str, seed: int, folder: Path) -> None:
    """Write a student in half precision, with its card."""
    partial_student = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial_student, ignore_errors=True)
    student.model.half()  # type: ignore[no-untyped-call]
    student.save(partial_student)
    before = growth_of(student_folder(path)) if path else None
    growth = Growth(
        seed=grow.scenes,
        scenes=max(before.scenes if before else 0, *(_scenes(stage) for stage in grow.stages)),
        difficulty=grow.difficulty.value,
    )
    digest = sha256((partial_student / "model.safetensors").read_bytes()).hexdigest()
    weights = sum(weight.numel() for weight in student.model.parameters())
    text = card(grow, seed=seed, weights=weights, digest=digest, path=path)
    write_atomically(partial_student / "README.md", text)
    write_atomically(partial_student / GROWN, growth.model_dump_json(indent=1) + "\n")
    sync_tree(partial_student)
    partial_student.rename(folder)


def _scenes(stage: GrowthStage) -> int:
    """How many scenes a stage draws until its last step."""
    first, new = (FIRST_SCENES, NEW_SCENES) if stage.name is GrowthStageName.eyes else (FIRST, NEW_PER_STEP)
    return first + new * (stage.steps - 1)
