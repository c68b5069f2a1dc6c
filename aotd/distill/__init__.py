"""distill: kept `Thought`s + `Question`s -> a student (step 4 of the paper)."""

from dataclasses import dataclass, field


@dataclass
class ArmConfig:
    """What one student is trained on beside the labels."""

    rationales: bool = True
    """False: labels only."""
    require: list[str] = field(default_factory=lambda: ["answer", "faithful", "coherent"])
    """Checks a thought must have passed."""
    epochs: float = 0.0
    """Other than `distill.epochs`, for arms that are to have as many tokens rather than as many steps."""
    train: bool = True
    """False: the student as it begins, to compare with."""


@dataclass
class PartConfig:
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
class DistillConfig:
    """How students are trained."""

    arms: dict[str, ArmConfig] = field(default_factory=dict)
    """Name -> what it is trained on; `configs/distill.yaml` has instruct, aotd, aotd_unfiltered."""
    mixture: list[PartConfig] = field(default_factory=list)
    """The runs to train on; none: this run itself."""
    seeds: list[int] = field(default_factory=list)
    """Train each arm from each of these, as `<arm>.<seed>`; none: once, from `seed`."""
    only: list[str] = field(default_factory=list)
    """Names of the arms to train now; none: all."""
    rationale_weight: float = 1.0
    """λ in loss = label + λ·rationale (paper: 1)."""
    epochs: float = 5.0
    questions_per_step: int = 8
    questions_per_video: int = 1
    """Questions of one video that share its tokens in a step, at most; 1: only a question's two replies do."""
    max_tokens_per_batch: int = 16384
    """Most places of one batch on one device, padding counted; a step is cut into as many batches as that takes."""
    learning_rate: float = 3e-3
    warmup_ratio: float = 0.05
    weight_decay: float = 0.05
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


def trainings(settings: DistillConfig, seed: int) -> dict[str, tuple[ArmConfig, int]]:
    """Name of each student to be trained -> its arm and its seed."""
    if not settings.seeds:
        return {name: (arm, seed) for name, arm in settings.arms.items()}
    return {f"{name}.{one}": (arm, one) for one in settings.seeds for name, arm in settings.arms.items()}
