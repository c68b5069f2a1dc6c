"""execute: `Program` + video -> `Trace` (step 2 of the paper)."""

from dataclasses import dataclass, field

from aotd.sandbox.process import Limits


@dataclass
class ExecuteConfig:
    """What a program may use."""

    workers: int = 0
    """Processes that share out the videos; 0 is one per core, or one where specialists have weights. The records do not
    depend on it."""
    repairs: int = 0
    """How often a program that failed goes back to the code LLM, with the error and what its tools had found."""
    limits: Limits = field(default_factory=Limits)
