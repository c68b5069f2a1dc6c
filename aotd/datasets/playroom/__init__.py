"""playroom: the built-in world of rendered videos with STAR-shaped annotation."""

from dataclasses import dataclass
from enum import Enum


class Difficulty(str, Enum):
    easy = "easy"
    standard = "standard"
    hard = "hard"


@dataclass
class PlayroomConfig:
    """How the world is made; the same settings give the same bytes."""

    seed: int = 0
    difficulty: Difficulty = Difficulty.standard
    """How hard it is to see: `easy` for tests, `standard`, `hard`. Questions are the same at all three."""
    train_videos: int = 240
    """How many videos; scenes come in families of 4, so all three numbers are multiples of 4."""
    val_videos: int = 20
    test_videos: int = 80
