"""grow: rendered scenes -> a student that sees, in stages."""

from dataclasses import dataclass, field
from enum import Enum

from aotd.datasets.playroom import Difficulty


class GrowthStageName(str, Enum):
    eyes = "eyes"
    """The frame encoder alone, on what is true of single frames; frozen afterwards."""
    speak = "speak"
    """Projector, temporal module and language model, on what can be said of a video."""
    obey = "obey"
    """The same, on questions too, answered in the forms of an arm."""


@dataclass
class GrowthStage:
    """One stage of growing."""

    name: GrowthStageName = GrowthStageName.eyes
    steps: int = 1000
    batch: int = 96
    """Frames of a step, each of another scene (eyes), or videos (speak, obey)."""
    learning_rate: float = 2e-3


@dataclass
class EncoderSizes:
    """How large the grown frame encoder is."""

    width: int = 128
    """Of the shrunk frames that it sees, in pixels; a multiple of 16, as the height."""
    height: int = 96
    cells: int = 96
    """Channels of its net."""
    blocks: int = 3


@dataclass
class GrowConfig:
    """How a student is grown from nothing."""

    stages: list[GrowthStage] = field(
        default_factory=lambda: [
            GrowthStage(GrowthStageName.eyes, steps=2400, batch=96),
            GrowthStage(GrowthStageName.speak, steps=2000, batch=12),
            GrowthStage(GrowthStageName.obey, steps=600, batch=12, learning_rate=1.5e-3),
        ]
    )
    """In their order; the first is `eyes`, and each of the others goes on with the student of the one before."""
    scenes: int = 1_000_000
    """Seed of the scenes that it grows on: no seed of a world that it is tested on."""
    difficulty: Difficulty = Difficulty.standard
    encoder: EncoderSizes = field(default_factory=EncoderSizes)
    told_actions: bool = True
    """Whether stage eyes is told what is done, by whom and with what; else only where things are, and their state."""
    workers: int = 1
    """Processes that draw scenes; changes no student."""
    save_steps: int = 200
    """A checkpoint every so many steps; 0: none but when it is stopped."""
