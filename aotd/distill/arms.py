"""The students of a run and the stages of their training, every setting resolved."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from aotd.distill import ArmConfig, DistillConfig, MixturePart, Schedule, StageConfig
from aotd.records import Example
from aotd.specialists import SpecialistsConfig
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students import ChoiceReply, StudentConfig, StudentName
from aotd.tracking import TrackingConfig


@dataclass(frozen=True)
class TrainingSetup:
    """What the trainings of a run have in common, beside their data."""

    run: Run
    distill: DistillConfig
    student: StudentConfig
    specialists: SpecialistsConfig
    dataset_root: str
    """Folder of the run's own videos."""
    seed: int
    tracking: TrackingConfig
    max_rationale_tokens: int
    """Longest rationale of the samples that the tracker is shown."""


@dataclass(frozen=True)
class StageFiles:
    """Where a stage keeps what it makes."""

    folder: Path
    losses: Path
    """The losses of all stages of the arm."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def student(self) -> Path:
        """The trained student. The stage is finished once this folder is there."""
        return self.folder / "student"

    @property
    def partial_student(self) -> Path:
        """The student while it is written."""
        return self.folder / "student.partial"


@dataclass(frozen=True)
class TrainingStage:
    """One stage of an arm's training. A field that its settings leave out is the arm's, and then `distill`'s."""

    number: int
    """Counted from 1; 0 where the arm has no stages, and is trained in one."""
    name: str
    """Folder below `distill/`: the last stage's is its arm's, and those before it lie in there."""
    setting: str
    """The setting that describes it, for errors."""
    trainable: tuple[str, ...]
    """Parts of the student; none: all that its family trains."""
    lora_rank: int
    rationales: bool
    require: tuple[str, ...]
    mixture: tuple[MixturePart, ...]
    """None: the run itself."""
    answer_suffix: bool
    epochs: float
    max_steps: int
    max_tokens: int
    learning_rate: float
    lr_scheduler_type: Schedule
    warmup_ratio: float
    weight_decay: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    questions_per_step: int
    own: Mapping[str, Any]
    """What its settings do not leave out."""

    def files(self, run: Run) -> StageFiles:
        folder = run.folder / "distill" / self.name
        return StageFiles(folder, (folder.parents[1] if folder.parent.name == _STAGES else folder) / "losses.jsonl")

    def examples(self, run: Run) -> Stage[Example]:
        return run.examples(self.name)

    def is_finished(self, run: Run) -> bool:
        return self.files(run).student.is_dir()


_STAGES = "stages"


@dataclass(frozen=True)
class Arm:
    """One student to be trained."""

    name: str
    config: ArmConfig
    seed: int
    stages: tuple[TrainingStage, ...]
    """At least one."""

    @property
    def last(self) -> TrainingStage:
        return self.stages[-1]


def arms_of(distill: DistillConfig, lora_rank: int, seed: int) -> dict[str, Arm]:
    """List the students to be trained: each arm once, or once from each of `distill.seeds`.

    Args:
        lora_rank: of `student`, for arms that do not set their own.
    """
    seeds = {f".{number}": number for number in distill.seeds} or {"": seed}
    arms = {}
    for suffix, own_seed in seeds.items():
        for name, config in distill.arms.items():
            stages = _stages(name, f"{name}{suffix}", config, distill, lora_rank)
            arms[f"{name}{suffix}"] = Arm(f"{name}{suffix}", config, own_seed, stages)
    return arms


def _stages(name: str, whole: str, arm: ArmConfig, distill: DistillConfig, rank: int) -> tuple[TrainingStage, ...]:
    setting = f"distill.arms.{name}"
    if not arm.stages:
        return (_stage(0, whole, setting, StageConfig(), arm, distill, rank),)
    folders = [f"{whole}/{_STAGES}/{number}" for number in range(1, len(arm.stages))]
    return tuple(
        _stage(number, folder, f"{setting}.stages[{number - 1}]", stage, arm, distill, rank)
        for number, (folder, stage) in enumerate(zip([*folders, whole], arm.stages, strict=True), 1)
    )


def _stage(
    number: int, name: str, setting: str, stage: StageConfig, arm: ArmConfig, distill: DistillConfig, rank: int
) -> TrainingStage:
    def resolved(field: str, default: Any = None) -> Any:
        values = (getattr(owner, field, None) for owner in (stage, arm, distill))
        return next((value for value in values if value is not None), default)

    return TrainingStage(
        number=number,
        name=name,
        setting=setting,
        trainable=tuple(resolved("trainable")) if arm.video else ("lm",),  # nothing else is computed without a video
        lora_rank=resolved("lora_rank", rank),
        rationales=resolved("rationales"),
        require=tuple(resolved("require")),
        mixture=tuple(resolved("mixture")),
        answer_suffix=resolved("answer_suffix"),
        epochs=stage.epochs or arm.epochs or distill.epochs,
        max_steps=resolved("max_steps"),
        max_tokens=resolved("max_tokens"),
        learning_rate=resolved("learning_rate"),
        lr_scheduler_type=resolved("lr_scheduler_type"),
        warmup_ratio=resolved("warmup_ratio"),
        weight_decay=resolved("weight_decay"),
        adam_beta1=resolved("adam_beta1"),
        adam_beta2=resolved("adam_beta2"),
        adam_epsilon=resolved("adam_epsilon"),
        questions_per_step=resolved("questions_per_step"),
        own=_given(stage),
    )


_CHANGES_NOTHING = ("arms", "seeds", "only", "workers", "save_steps")
"""Settings of distill that an arm's student does not depend on."""

_SILENT_DEFAULTS = {
    **{"trainable": [], "max_steps": 0, "max_tokens": 0, "lr_scheduler_type": Schedule.cosine},
    "answer_suffix": True,
    **{"adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": 1e-8},
}
"""Settings that a manifest names only where they are set, so that it stays what it was before there were any."""


def manifest_settings(setup: TrainingSetup, arm: Arm, stage: TrainingStage) -> dict[str, Any]:
    """The settings that decide a stage's student, for its manifest."""
    decides = {
        key: getattr(value, "value", value)
        for key, value in asdict(setup.distill).items()
        if key not in _CHANGES_NOTHING and not (key in _SILENT_DEFAULTS and value == _SILENT_DEFAULTS[key])
    }
    decides["mixture"] = [asdict(part) for part in stage.mixture]
    own = {key: value for key, value in _given(arm.config).items() if key not in ("stages", "mixture")}
    if arm.config.video:
        del own["video"]  # as `_SILENT_DEFAULTS`
    student = {key: getattr(value, "value", value) for key, value in asdict(setup.student).items()}
    if setup.student.choice_reply is ChoiceReply.letter:
        del student["choice_reply"]  # as `_SILENT_DEFAULTS`
    if setup.student.name is StudentName.valley:
        student["valley"] = {key: getattr(value, "value", value) for key, value in student["valley"].items()}
    else:
        del student["valley"]  # what a valley is made of decides no other student
    settings = {**decides, "arm": own, "student": student, "frames": setup.specialists.frames, "seed": arm.seed}
    if stage.number:
        settings["stage"] = {
            "number": stage.number, **{key: value for key, value in stage.own.items() if key != "mixture"}
        }  # fmt: skip
    return settings


def _given(config: ArmConfig | StageConfig) -> dict[str, Any]:
    """What is not left out, as JSON holds it."""
    return {
        key: value.value if isinstance(value, Enum) else value
        for key, value in asdict(config).items()
        if value is not None
    }


def remove_leftovers(run: Run, arm: Arm) -> None:
    """Remove what a finished arm needs no longer: checkpoints, and the students of the stages before its last.

    A stage's examples stay, because they say what the student has been trained on.
    """
    for stage in arm.stages:
        files = stage.files(run)
        shutil.rmtree(files.checkpoints, ignore_errors=True)
        if stage is not arm.last:
            shutil.rmtree(files.student, ignore_errors=True)
