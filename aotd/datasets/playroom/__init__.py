"""playroom: the built-in world of rendered videos with STAR-shaped annotation (design §4)."""

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
    train_videos: int = 240
    val_videos: int = 20
    test_videos: int = 80
