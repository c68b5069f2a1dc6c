"""evaluate: a student or the agent + held-out `Question`s -> `Prediction`s and `Scores`."""

from dataclasses import dataclass, field


@dataclass
class EvaluateConfig:
    """Who is asked, and about what."""

    arms: list[str] = field(default_factory=lambda: ["blind", "agent"])
    """`blind`, `frequent` and `likeness` (no video), `agent` (the traces of this run), or names of distilled arms."""
    others: dict[str, str] = field(default_factory=dict)
    """Further arms: name -> a file of replies (JSON lines), or the folder of an arm distilled elsewhere."""
    reference: str = "instruct"
    """The arm that the others are compared with, question by question; where it is not among `arms`, none is."""
    against: str = ""
    """Another run, whose arms of the same names are compared with these; or RUN/evaluate/ARM, one arm for all."""
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
