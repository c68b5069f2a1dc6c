"""evaluate: a student or the agent + held-out `Question`s -> `Prediction`s and `Scores`."""

from dataclasses import dataclass, field
from enum import Enum

from aotd.llm import RoleLLMConfig


class JudgeProtocol(str, Enum):
    """What a judge is asked about an answer to an open-ended question."""

    open = "open"
    video_chatgpt = "video_chatgpt"


class Reading(str, Enum):
    """How the option that a reply chooses is read (`aotd.scoring.answers`)."""

    strict = "strict"
    lenient = "lenient"


@dataclass
class JudgeConfig:
    """A language model that judges the answers to open-ended questions."""

    name: str = ""
    """Name of its folder and of its row in the tables; empty asks no judge."""
    protocol: JudgeProtocol = JudgeProtocol.open
    """open: right or wrong, and 0 to 5. video_chatgpt: the five scores of that benchmark, by question type."""
    retries: int = 2
    """How often a judge whose reply cannot be read is asked again, for a sample."""
    max_tokens: int = 256
    """Longest reply; one that is cut off cannot be read."""
    llm: RoleLLMConfig = field(default_factory=RoleLLMConfig)
    """The language model that judges answers, where it is not that of `llm`."""


@dataclass
class EvaluateConfig:
    """Who is asked, and about what."""

    arms: list[str] = field(default_factory=lambda: ["blind", "agent"])
    """`blind`, `frequent` and `likeness` (no video), `agent` (the traces of this run), or names of distilled arms."""
    external: dict[str, str] = field(default_factory=dict)
    """Further arms, `evaluate.external.NAME=PATH`: a file of replies (JSON lines), or an arm's folder of a run."""
    reference: str = "instruct"
    """The arm that the others are compared with, question by question; where it is not among `arms`, none is."""
    baseline_run: str = ""
    """Another run, whose arms of the same names are compared with these; or RUN/evaluate/ARM, one arm for all."""
    reading: Reading = Reading.strict
    """How options are read from replies, for accuracy and comparisons (docs/evaluate.md); both are always reported."""
    shuffled_videos: bool = False
    """Also ask each student every question with the video of another one, as a control (docs/evaluate.md)."""
    split: str = "test"
    train_split: str = "train"
    """What `blind` and `frequent` learn from; where the run has no such split, they are cross-validated by video."""
    train_root: str = ""
    """Folder of the training videos of students distilled in another run, to compare files; a mixture knows its own."""
    batch: int = 64
    """Questions a student is asked at once; does not change its replies but for rounding."""
    max_rationale_tokens: int = 256
    rationale_questions: int = 0
    """How many questions are also asked for reasons, drawn with `seed`; 0: all. Reasons take longer than answers."""
    resamples: int = 2000
    """Bootstrap resamples behind each 95 % interval."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
