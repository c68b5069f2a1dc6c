"""distill: kept `Thought`s + `Question`s -> a student (step 4 of the paper)."""

from dataclasses import dataclass, field


@dataclass
class ArmConfig:
    """What one student is trained on beside the labels."""

    rationales: bool = True
    """False: labels only."""
    require: list[str] = field(default_factory=lambda: ["answer", "faithful", "coherent"])
    """Checks a thought must have passed."""


@dataclass
class DistillConfig:
    """How students are trained."""

    arms: dict[str, ArmConfig] = field(default_factory=dict)
    """Name -> what it is trained on; `configs/distill.yaml` has instruct, aotd, aotd_unfiltered."""
    rationale_weight: float = 1.0
    """λ in loss = label + λ·rationale (paper: 1)."""
    epochs: float = 5.0
    batch: int = 8
    """Questions per step."""
    learning_rate: float = 3e-3
    warmup_ratio: float = 0.05
    split: str = "train"
    workers: int = 0
    """Arms trained at once on a CPU; 0 is one per core. On a GPU they take turns. The students do not depend on it."""
    threads: int = 1
    """CPU threads of one arm. More round otherwise, so the students are other ones."""
