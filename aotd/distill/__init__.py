"""distill: kept `Thought`s + `Question`s -> a student (step 4 of the paper)."""

from dataclasses import dataclass, field
from enum import Enum


class Schedule(str, Enum):
    """How the learning rate changes over a stage's steps, named as transformers names it."""

    linear = "linear"
    cosine = "cosine"
    constant = "constant"
    constant_with_warmup = "constant_with_warmup"


@dataclass
class MixturePart:
    """One run of a mixture."""

    run: str = ""
    """Its folder."""
    root: str = ""
    """Folder of its videos, as its `dataset.root`."""
    questions: int = 0
    """At most so many of its questions, drawn by the seed; 0: all."""
    thoughts: bool = True
    """False: its questions and answers only; such a run needs no verb but `load`."""


@dataclass
class TrainingOverrides:
    """What an arm, or a stage of it, sets otherwise. Null: a stage does as its arm, and an arm as `distill`."""

    trainable: list[str] | None = None
    lora_rank: int | None = None
    """Other than `student.lora_rank`."""
    mixture: list[MixturePart] | None = None
    answer_suffix: bool | None = None
    learning_rate: float | None = None
    lr_scheduler_type: Schedule | None = None
    warmup_ratio: float | None = None
    weight_decay: float | None = None
    adam_beta1: float | None = None
    adam_beta2: float | None = None
    adam_epsilon: float | None = None
    questions_per_step: int | None = None
    max_steps: int | None = None
    max_tokens: int | None = None


@dataclass
class StageConfig(TrainingOverrides):
    """One stage of an arm's training. It begins from the student of the stage before."""

    rationales: bool | None = None
    require: list[str] | None = None
    epochs: float | None = None


@dataclass
class ArmConfig(TrainingOverrides):
    """What one student is trained on beside the labels, and how."""

    rationales: bool = True
    """False: labels only."""
    require: list[str] = field(default_factory=lambda: ["answer", "faithful", "coherent"])
    """Checks a thought must have passed."""
    epochs: float = 0.0
    """Other than `distill.epochs`, for arms that are to have as many tokens rather than as many steps."""
    train: bool = True
    """False: the student as it begins, to compare with."""
    video: bool = True
    """False: the student is given no video, neither in training nor when it is asked: a control."""
    stages: list[StageConfig] = field(default_factory=list)
    """Stages of its training, one after another; none: it is trained in one."""


@dataclass
class DistillConfig:
    """How students are trained."""

    arms: dict[str, ArmConfig] = field(default_factory=dict)
    """Name -> what it is trained on; `configs/distill.yaml` has instruct, aotd, aotd_unfiltered."""
    mixture: list[MixturePart] = field(default_factory=list)
    """The runs to train on; none: this run itself."""
    seeds: list[int] = field(default_factory=list)
    """Train each arm from each of these, as `<arm>.<seed>`; none: once, from `seed`."""
    only: list[str] = field(default_factory=list)
    """Names of the arms to train now; none: all."""
    trainable: list[str] = field(default_factory=list)
    """Parts of the student that are trained, such as projector and lm; none: all that its family trains."""
    answer_suffix: bool = True
    """Whether the prompt of an answer says how it shall be given. False is for dialogues."""
    rationale_weight: float = 1.0
    """λ in loss = label + λ·rationale (paper: 1)."""
    epochs: float = 5.0
    max_steps: int = 0
    """Stop after so many steps; 0: after the epochs."""
    max_tokens: int = 0
    """Stop before the step with which more tokens would have been trained on, padding not counted; 0: no bound."""
    questions_per_step: int = 8
    questions_per_video: int = 1
    """Questions of one video that share its tokens in a step, at most; 1: only a question's two replies do."""
    max_tokens_per_batch: int = 16384
    """Most places of one batch on one device, padding counted; a step is cut into as many batches as that takes."""
    learning_rate: float = 3e-3
    lr_scheduler_type: Schedule = Schedule.cosine
    warmup_ratio: float = 0.05
    weight_decay: float = 0.05
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95
    adam_epsilon: float = 1e-8
    bf16: bool = False
    """Compute in bfloat16; weights stay as they are loaded."""
    gradient_checkpointing: bool = False
    """Compute the layers' activations again in the backward pass instead of keeping them; saves memory."""
    deepspeed: str = ""
    """A DeepSpeed configuration: `zero2`, `zero3`, or a JSON file."""
    save_steps: int = 0
    """A checkpoint every so many steps; 0: an arm that is killed starts again."""
    split: str = "train"
    workers: int = 0
    """Arms trained at once on a CPU; 0 is all, up to two per core. On a GPU they take turns. Changes no student."""
    threads: int = 1
    """CPU threads of one arm. More round otherwise, so the students are other ones."""
