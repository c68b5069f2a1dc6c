"""What stops a training before it begins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec

from aotd.distill import ArmConfig, DistillConfig, StageConfig
from aotd.distill.ranks import deepspeed_file, is_launched
from aotd.errors import UserError
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.students import StudentConfig, StudentName
from aotd.students.examples import CHECKS

_POSITIVE = ("questions_per_video", "max_tokens_per_batch", "threads")


def check_settings(distill: DistillConfig, student: StudentConfig, specialists: SpecialistsConfig) -> None:
    """Check the settings of all arms and of what they have in common.

    Raises:
        UserError: settings that cannot be trained with.
    """
    if not distill.arms:
        raise UserError("distill.arms names no arm: configs/distill.yaml has instruct, aotd and aotd_unfiltered")
    for name, arm in distill.arms.items():
        _check_arm(name, arm)
    if len(set(distill.seeds)) < len(distill.seeds):
        raise UserError("distill.seeds names a seed twice")
    for name in distill.only:
        if name not in distill.arms:
            raise UserError(f"distill.only: there is no arm {name!r}; distill.arms has {', '.join(distill.arms)}")
    if distill.rationale_weight < 0:
        raise UserError(f"distill.rationale_weight={distill.rationale_weight} must be 0 or more")
    for setting in _POSITIVE:
        if getattr(distill, setting) <= 0:
            raise UserError(f"distill.{setting}={getattr(distill, setting)} must be more than 0")
    for setting, part in _parts(distill).items():
        _check_part(setting, part)
    if distill.deepspeed:
        _check_deepspeed(distill, student)
    _check_lora(distill, student)
    for name, arm in distill.arms.items():
        if not arm.video:
            _check_without_video(name, arm, distill, student)
    if specialists.source is not SourceName.video:
        raise UserError("distill needs videos (specialists.source=video): a student sees pixels, not stored captions")


def check_trainable(distill: DistillConfig, student: StudentName, parts: Sequence[str]) -> None:
    """Check that a student has the parts that are to be trained.

    Args:
        parts: those that its family trains.

    Raises:
        UserError: it lacks one.
    """
    for setting, settings in _parts(distill).items():
        for part in settings.trainable or ():
            if part not in parts:
                raise UserError(
                    f"{setting}.trainable: {student.value} has no part {part!r} to train; one of {', '.join(parts)}"
                )


def _parts(distill: DistillConfig) -> dict[str, DistillConfig | ArmConfig | StageConfig]:
    """Setting -> the settings of all arms, of each arm and of each stage."""
    parts: dict[str, DistillConfig | ArmConfig | StageConfig] = {"distill": distill}
    for name, arm in distill.arms.items():
        parts[f"distill.arms.{name}"] = arm
        parts |= {f"distill.arms.{name}.stages[{number}]": stage for number, stage in enumerate(arm.stages)}
    return parts


def _check_arm(name: str, arm: ArmConfig) -> None:
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UserError(f"distill.arms: {name!r} names a folder: letters, digits, - and _ only")
    if arm.epochs < 0:
        raise UserError(f"distill.arms.{name}.epochs={arm.epochs} must be 0 (as distill.epochs) or more")
    if arm.stages and not arm.train:
        raise UserError(f"distill.arms.{name} has stages and train=false: an arm that is not trained has none")


def _check_part(setting: str, part: DistillConfig | ArmConfig | StageConfig) -> None:
    if not isinstance(part, DistillConfig):
        for check in part.require or ():
            if check not in CHECKS:
                raise UserError(f"{setting}.require: there is no check {check!r}; one of {', '.join(CHECKS)}")
    epochs = () if isinstance(part, ArmConfig) else ("epochs",)
    for name in ("learning_rate", "adam_epsilon", "questions_per_step", *epochs):
        value = getattr(part, name)
        if value is not None and value <= 0:
            raise UserError(f"{setting}.{name}={value} must be more than 0")
    if part.warmup_ratio is not None and not 0 <= part.warmup_ratio < 1:
        raise UserError(f"{setting}.warmup_ratio={part.warmup_ratio} must be in [0, 1)")
    for name in ("adam_beta1", "adam_beta2"):
        value = getattr(part, name)
        if value is not None and not 0 <= value < 1:
            raise UserError(f"{setting}.{name}={value} must be in [0, 1)")
    for name in ("max_steps", "max_tokens"):
        if (getattr(part, name) or 0) < 0:
            raise UserError(f"{setting}.{name}={getattr(part, name)} must be 0 (no bound) or more")


def _check_deepspeed(distill: DistillConfig, student: StudentConfig) -> None:
    if not is_launched():
        raise UserError(
            f"distill.deepspeed={distill.deepspeed} needs a launcher: torchrun --nproc-per-node 2 "
            "-m aotd distill …; without one set distill.deepspeed="
        )
    zero = json.loads(deepspeed_file(distill.deepspeed).read_text(encoding="utf-8")).get("zero_optimization", {})
    if any(_ranks(distill, student).values()) and zero.get("stage") == 3:
        raise UserError("student.lora_rank and ZeRO-3 do not go together: no process has a whole weight; take zero2")


def _check_lora(distill: DistillConfig, student: StudentConfig) -> None:
    ranks = _ranks(distill, student)
    for setting, rank in ranks.items():
        if rank < 0:
            raise UserError(f"{setting}={rank} must be 0 or more")
        if rank and student.name is StudentName.valley:
            raise UserError(f"{setting}={rank}: valley has no adapters; set {setting}=0, or name another student")
    if any(ranks.values()) and find_spec("peft") is None:
        raise UserError("student.lora_rank needs the extra: pip install 'aotd[lora]'")


def _check_without_video(name: str, arm: ArmConfig, distill: DistillConfig, student: StudentConfig) -> None:
    if student.name is not StudentName.valley:
        raise UserError(
            f"distill.arms.{name}.video=false: {student.name.value} is always given a video; leave that arm out, "
            "or set student=valley"
        )
    parts: dict[str, ArmConfig | StageConfig] = {}
    parts |= {f"distill.arms.{name}.stages[{number}]": stage for number, stage in enumerate(arm.stages)}
    for setting, part in (parts or {f"distill.arms.{name}": arm}).items():
        wanted = next((own for own in (part.trainable, arm.trainable, distill.trainable) if own is not None), [])
        if wanted and "lm" not in wanted:
            raise UserError(
                f"{setting}: an arm without a video trains lm alone, and trainable is {', '.join(wanted)}: set "
                f"{setting}.trainable=[lm], or leave it out"
            )


def _ranks(distill: DistillConfig, student: StudentConfig) -> dict[str, int]:
    """Setting -> rank of adapters, where it is set."""
    ranks = {f"{setting}.lora_rank": getattr(part, "lora_rank", None) for setting, part in _parts(distill).items()}
    return {"student.lora_rank": student.lora_rank} | {key: rank for key, rank in ranks.items() if rank is not None}
