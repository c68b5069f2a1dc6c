"""verify: `Thought` + `Question` -> `Verdict` (step 3 of the paper)."""

from dataclasses import dataclass, field
from enum import Enum

from aotd.llm import RoleLLMConfig


class Judge(str, Enum):
    rules = "rules"
    llm = "llm"


@dataclass
class VerifyConfig:
    """Who judges what rules cannot settle."""

    coherence: Judge = Judge.rules
    """rules: each step found something and the answer follows from it. llm: a language model says yes or no."""
    open_answer: Judge = Judge.rules
    """Open-ended answers. rules: equal but for case, articles and punctuation. llm: a language model compares."""
    max_tokens: int = 16
    """llm: longest verdict of a judge that cannot be held to Yes or No."""
    llm: RoleLLMConfig = field(default_factory=RoleLLMConfig)
    """The language model that judges thoughts, where it is not that of `llm`."""
