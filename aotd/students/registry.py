"""Which families there are, and how a student of each is begun and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from aotd.errors import UserError
from aotd.models.checkpoints import check_checkpoint
from aotd.store.untrusted import read_object
from aotd.students import StudentConfig, StudentName
from aotd.students.onevision_small import new_small_onevision
from aotd.students.packaged import student_folder
from aotd.students.valley.model import ValleyConfig
from aotd.students.valley.student import ValleyStudent, check_agrees, load_valley, new_valley
from aotd.video_llms.base import VideoLLM
from aotd.video_llms.families import FAMILIES
from aotd.video_llms.pretrained import MOST_FRAMES, NOTE, PretrainedVideoLLM, read_checkpoint, read_json


def trainable_parts(name: StudentName) -> tuple[str, ...]:
    """Return the names of a student's parts that can be trained."""
    return _student_class(name).parts


def _student_class(name: StudentName) -> type[VideoLLM]:
    if name is StudentName.valley:
        return ValleyStudent
    return FAMILIES["llava_onevision" if name is StudentName.onevision_small else name.value]


def new_student(config: StudentConfig, specialist_frames: int, texts: Sequence[str], seed: int) -> VideoLLM:
    """Begin a student before it is distilled. The same arguments give the same weights.

    Args:
        specialist_frames: frames the specialists sample.
        texts: what a student without a tokenizer of its own trains one on.

    Raises:
        UserError: settings that do not fit together, or no such checkpoint.
    """
    student = _begin(config, specialist_frames, texts, seed)
    if config.path and student.specialist_frames != specialist_frames:
        raise UserError(
            f"student.path={config.path} was trained on rationales about {student.specialist_frames} frames, and "
            f"those of this run number {specialist_frames}: set specialists.frames={student.specialist_frames} "
            "from `load` on"
        )
    return student


def _begin(config: StudentConfig, specialist_frames: int, texts: Sequence[str], seed: int) -> VideoLLM:
    if config.name is StudentName.valley:
        return _saved_valley(config) if config.path else new_valley(config, specialist_frames, texts, seed)
    if config.name is StudentName.onevision_small:
        if config.path:
            raise UserError(
                f"student.path={config.path}: onevision_small begins from nothing; a checkpoint of it is "
                "student=llava_onevision"
            )
        return new_small_onevision(config.frames, specialist_frames, texts, seed)
    if not config.path:
        raise UserError(f"student={config.name.value} begins from a checkpoint: set student.path to a folder or hub id")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    return load_pretrained(FAMILIES[config.name.value], config.path, config, specialist_frames)


def _saved_valley(config: StudentConfig) -> ValleyStudent:
    folder = student_folder(config.path)
    if not (folder / "config.json").is_file():
        raise UserError(f"student.path={folder} holds no student: name the folder distill/ARM/student of another run")
    student = load_student(folder, config)
    if not isinstance(student, ValleyStudent):
        raise UserError(f"student.path={folder} holds another student than valley: name it (student=…)")
    check_agrees(config, student)
    return student


def load_student(folder: Path, config: StudentConfig) -> VideoLLM:
    """A student that was saved, whatever its family.

    Args:
        config: how a checkpoint is to be held (`attention`, `dtype`); what it is, its folder says.

    Raises:
        UserError: there is none in the folder, or one that is damaged or names things that are not in it.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no student: name the folder of one, or make it with `aotd distill` first")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    check_checkpoint(folder, "student")
    kind = read_object(folder / "config.json", f"{folder}/config.json").get("model_type")
    if kind == ValleyConfig.model_type:
        return load_valley(folder, config)
    family = next((family for family in FAMILIES.values() if family.model_type == kind), None)
    if family is None:
        known = ", ".join(sorted([ValleyConfig.model_type, *(one.model_type for one in FAMILIES.values())]))
        raise UserError(f"{folder} holds a {kind} model, and no student: name the folder of one ({known})")
    return load_pretrained(family, str(folder), config, config.frames)


def load_pretrained(
    family: type[PretrainedVideoLLM], path: str, config: StudentConfig, specialist_frames: int
) -> PretrainedVideoLLM:
    """A student of a family from a checkpoint, or from the folder of one that was distilled.

    Raises:
        UserError: there is no such checkpoint, or it is of another family.
    """
    dtype = getattr(torch, config.dtype.value)
    model, tokenizer, pictures = read_checkpoint(
        family, path, "student.path", dtype, attn_implementation=config.attention.value
    )
    note = read_json(path, NOTE)
    frames, specialist_frames = note.get("frames", config.frames), note.get("seen", specialist_frames)
    for name, value in (("frames", frames), ("seen", specialist_frames)):
        if not isinstance(value, int) or not 1 <= value <= MOST_FRAMES:
            raise UserError(f"student.path={path}: {NOTE}: {name} must be a number from 1 to {MOST_FRAMES}")
    return family(model, tokenizer, pictures, frames, specialist_frames)
