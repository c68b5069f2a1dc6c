"""convert: `Trace` -> `Thought` (step 3 of the paper)."""

from dataclasses import dataclass, field
from enum import Enum

from aotd.llm import RoleLLMConfig


class WriterName(str, Enum):
    template = "template"
    llm = "llm"
    caption = "caption"


@dataclass
class ConvertConfig:
    """Who writes the chains of thought."""

    writer: WriterName = WriterName.template
    """template: deterministic, from the trace alone. llm: a language model rewrites the trace.

    caption: a caption of the video and no reasons, as a control.
    """
    captions: str = ""
    """caption: the file of captions (`video`, `caption`); playroom's worlds have `captions.jsonl`."""
    boxes: int = 3
    """At most so many boxes of one finding are written, spread evenly over its frames; all stay in the trace."""
    max_tokens: int = 512
    """llm: longest reply; a reply cut by it is the outcome `thought_cut`."""
    llm: RoleLLMConfig = field(default_factory=RoleLLMConfig)
    """The language model that writes thoughts, where it is not that of `llm`."""
