"""Students, one file each."""

from dataclasses import dataclass
from enum import Enum


class StudentName(str, Enum):
    valley = "valley"


@dataclass
class StudentConfig:
    """Which student, and its size (valley is trained from scratch)."""

    name: StudentName = StudentName.valley
    frames: int = 16
    """Frames the student sees, spread over those the specialists saw."""
    image: int = 64
    """Side of the square frames it sees, in pixels; a multiple of 8."""
    channels: int = 64
    """Width of the frame encoder and of the temporal module."""
    patches: int = 4
    """Tokens for the parts of the picture over the whole video; a square number."""
    tokens_per_frame: int = 2
    """Tokens of each frame."""
    hidden: int = 96
    """Width of the language model."""
    layers: int = 3
    heads: int = 3
    vocabulary: int = 2048
