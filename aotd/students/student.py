"""Which families there are, and how a student of each is begun and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from aotd.checkpoints import check_checkpoint
from aotd.errors import UserError
from aotd.reading import read_object
from aotd.students import StudentConfig, StudentName
from aotd.students.base import Student
from aotd.students.llava_next_video import LlavaNextVideo
from aotd.students.llava_onevision import LlavaOnevision
from aotd.students.pretrained import PretrainedStudent, load_pretrained
from aotd.students.qwen_vl import QwenVL
from aotd.students.small import new_small_onevision
from aotd.students.valley import ValleyConfig, load_valley, new_valley
from aotd.students.video_llava import VideoLlava

FAMILIES: dict[StudentName, type[PretrainedStudent]] = {
    StudentName.llava_next_video: LlavaNextVideo,
    StudentName.llava_onevision: LlavaOnevision,
    StudentName.video_llava: VideoLlava,
    StudentName.qwen_vl: QwenVL,
}
"""Those that begin from a checkpoint."""


def new_student(config: StudentConfig, seen: int, texts: Sequence[str], seed: int) -> Student:
    """A student before it is distilled. The same arguments give the same weights.

    Args:
        seen: frames the specialists sample.
        texts: what a student without a tokenizer of its own trains one on.

    Raises:
        UserError: settings that do not fit together, or no such checkpoint.
    """
    if config.name is StudentName.valley:
        if config.path:
            raise UserError(f"student.path={config.path}: valley begins from nothing; name another student")
        return new_valley(config, seen, texts, seed)
    if config.small:
        if config.name is not StudentName.llava_onevision or config.path:
            raise UserError("student.small is for llava_onevision without a student.path")
        return new_small_onevision(config.frames, seen, texts, seed)
    if not config.path:
        raise UserError(f"student={config.name.value} begins from a checkpoint: set student.path to a folder or hub id")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    return load_pretrained(FAMILIES[config.name], config.path, config, seen)


def load_student(folder: Path, config: StudentConfig) -> Student:
    """A student that was saved, whatever its family.

    Args:
        config: how a checkpoint is to be held (`attention`, `dtype`); what it is, its folder says.

    Raises:
        UserError: there is none in the folder, or one that is damaged or names things that are not in it.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no student: run `aotd distill` first")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    check_checkpoint(folder, "student")
    kind = read_object(folder / "config.json", f"{folder}/config.json").get("model_type")
    if kind == ValleyConfig.model_type:
        return load_valley(folder)
    family = next((family for family in FAMILIES.values() if family.model_type == kind), None)
    if family is None:
        raise UserError(f"{folder} holds a {kind} model, which is none of the students'")
    return load_pretrained(family, str(folder), config, config.frames)
