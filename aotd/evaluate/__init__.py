"""evaluate: a student or the agent + held-out `Question`s -> `Prediction`s and `Scores`."""

from dataclasses import dataclass, field


@dataclass
class EvaluateConfig:
    """Who is asked, and about what."""

    arms: list[str] = field(default_factory=lambda: ["blind", "agent"])
    """`blind` and `frequent` (no video), `agent` (the traces of this run), or names of distilled arms."""
    split: str = "test"
    batch: int = 32
    max_rationale_tokens: int = 256
    resamples: int = 2000
    """Bootstrap resamples behind each 95 % interval."""
