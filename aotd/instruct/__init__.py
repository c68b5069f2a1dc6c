"""instruct: titles and captions of videos -> dialogues about the videos, to train on (Valley, section 3)."""

from dataclasses import dataclass, field
from enum import Enum

from aotd.llm import RoleLLMConfig


class InstructAuthor(str, Enum):
    """Who writes the dialogues."""

    template = "template"
    llm = "llm"


@dataclass
class InstructConfig:
    """Which dialogues are written, from what, and what is refused of them."""

    author: InstructAuthor = InstructAuthor.template
    """template: deterministic, from playroom's scenes. llm: a language model, from any captions."""
    captions: str = ""
    """A file of captions (video, title, caption); empty is playroom's own, made from its scenes."""
    scenes: int = 200
    """How many scenes of playroom, where `captions` is empty."""
    seed: int = 0
    """Decides playroom's scenes and the words of captions and templates."""
    render: bool = False
    """Also render the videos of playroom's scenes, below `dataset.root`."""
    kinds: list[str] = field(default_factory=lambda: ["detail", "conversation", "reasoning"])
    """What is written of each caption."""
    detail_min_words: int = 150
    """Shortest description (paper: 150)."""
    detail_max_words: int = 200
    """Longest description (paper: 200)."""
    copied_words: int = 8
    """So many words in a row that stand in the caption or the title are a copy."""
    max_tokens: int = 768
    """llm: longest reply."""
    llm: RoleLLMConfig = field(default_factory=RoleLLMConfig)
    """The language model that writes dialogues, where it is not that of `llm`."""
