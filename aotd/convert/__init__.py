"""convert: `Trace` -> `Thought` (step 3 of the paper)."""

from dataclasses import dataclass
from enum import Enum


class WriterName(str, Enum):
    template = "template"
    llm = "llm"


@dataclass
class ConvertConfig:
    """Who writes the chains of thought."""

    writer: WriterName = WriterName.template
    """template: deterministic, from the trace alone. llm: a language model rewrites the trace."""
    boxes: int = 3
    """At most so many boxes of one finding are written, spread evenly over its frames; all stay in the trace."""
    max_tokens: int = 512
    """llm: longest reply; a reply cut by it is the outcome `thought_cut`."""
