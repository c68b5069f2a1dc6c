"""evaluate: a student or the agent + held-out `Question`s -> `Prediction`s and `Scores`."""

from dataclasses import dataclass, field


@dataclass
class EvaluateConfig:
    """Who is asked, and about what."""

    arms: list[str] = field(default_factory=lambda: ["blind", "agent"])
    """`blind`, `frequent` and `likeness` (no video), `agent` (the traces of this run), or names of distilled arms."""
    reference: str = "instruct"
    """The arm that others are compared with where students were trained from several seeds."""
    split: str = "test"
    train_split: str = "train"
    """What `blind` and `frequent` learn from; where the run has no such split, they are cross-validated by video."""
    train_root: str = ""
    """Folder of the training videos of students distilled in another run, to compare files; a mixture knows its own."""
    batch: int = 64
    """Questions a student is asked at once; does not change its replies but for rounding."""
    max_rationale_tokens: int = 256
    resamples: int = 2000
    """Bootstrap resamples behind each 95 % interval."""
