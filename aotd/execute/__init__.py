"""execute: `Program` + video -> `Trace` (step 2 of the paper)."""

from dataclasses import dataclass, field

from aotd.sandbox.process import Limits


@dataclass
class ExecuteConfig:
    """What a program may use."""

    limits: Limits = field(default_factory=Limits)
