"""Settings of decompose: `Question` -> `Program` (step 2 of the paper)."""

from dataclasses import dataclass, field
from enum import Enum

from aotd.llm import RoleLLMConfig


class Author(str, Enum):
    annotated = "annotated"
    fixed = "fixed"
    llm = "llm"


@dataclass
class DecomposeConfig:
    """Who writes the programs, and how."""

    author: Author = Author.annotated
    """annotated: the benchmark's functional program, translated. fixed: the example of the question's type.
    llm: a code LLM, shown the tools and the examples."""
    programs: str = ""
    """Folder of example programs; empty is the one that ships with the package."""
    num_examples: int = 4
    """llm: how many example programs the prompt holds: those nearest to the question."""
    examples: list[str] = field(default_factory=list)
    """llm: names of the example programs in the prompt, the same for every question, instead of the nearest."""
    exclude_tools: list[str] = field(default_factory=list)
    """llm: tools that programs may not use, because no specialist of the run can do them."""
    retries: int = 2
    """llm: how often an invalid program goes back to the model with the error."""
    max_tokens: int = 512
    """llm: longest reply."""
    candidates: int = 1
    """llm: programs per question: one written greedily, the others sampled. `execute` tries them in order
    until one gives the true answer (rejection sampling)."""
    temperature: float = 0.8
    """llm: of the sampled candidates."""
    llm: RoleLLMConfig = field(default_factory=RoleLLMConfig)
    """The code LLM that writes and repairs programs, where it is not that of `llm`."""
