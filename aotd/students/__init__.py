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
    """Side of the square frames it sees, in pixels."""
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    vocabulary: int = 2048
