"""Students, one file each."""

from dataclasses import dataclass, field
from enum import Enum


class StudentName(str, Enum):
    valley = "valley"
    llava_next_video = "llava_next_video"
    llava_onevision = "llava_onevision"
    video_llava = "video_llava"
    qwen_vl = "qwen_vl"
    onevision_small = "onevision_small"


class Attention(str, Enum):
    sdpa = "sdpa"
    eager = "eager"


class Dtype(str, Enum):
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass
class ValleySizes:
    """How large a valley is."""

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


@dataclass
class StudentConfig:
    """Which student. valley begins from nothing or from another run's valley; the others from a checkpoint."""

    name: StudentName = StudentName.valley
    frames: int = 16
    """Frames the student sees, spread over those the specialists saw."""
    path: str = ""
    """Checkpoint to begin from, in the family's own format: a folder or a hub id; a student of another run is one."""
    attention: Attention = Attention.sdpa
    """How a checkpoint's attention is computed; does not change what it is."""
    dtype: Dtype = Dtype.float32
    """Of a checkpoint's weights."""
    lora_rank: int = 0
    """Rank of adapters (LoRA) that are trained instead of a checkpoint's language model; 0: the model itself."""
    valley: ValleySizes = field(default_factory=ValleySizes)
