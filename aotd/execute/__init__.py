"""Settings of execute: `Program` + video -> `Trace` (step 2 of the paper)."""

from dataclasses import dataclass, field

from aotd.sandbox.layers import Layer
from aotd.sandbox.process import Limits


@dataclass
class ExecuteConfig:
    """How programs run, and what one may use."""

    workers: int = 0
    """Processes that share the videos; 0 is one per core, or one where specialists have weights. The records do not
    depend on it."""
    concurrency: int = 0
    """Programs that run at once in a process, so that their calls go through a model together; 0 is 4 a core, at most
    16, where specialists have weights; 16 where `aotd serve` holds them; else 1. The records do not depend on it."""
    repairs: int = 0
    """How often a program that failed goes back to the code LLM, with the error and what its tools had found."""
    layers: list[Layer] = field(default_factory=list)
    """Layers without which no program runs: rlimits, seccomp, landlock, namespaces. Those that the machine has are
    raised in any case."""
    run_without_kernel_layers: bool = False
    """Run programs also where the kernel has no seccomp, as outside Linux: behind the check of their syntax, in a
    process of their own, and nothing more."""
    limits: Limits = field(default_factory=Limits)
