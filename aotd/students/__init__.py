"""Students, one file or folder each."""

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


class ChoiceReply(str, Enum):
    """How a student replies to a multiple-choice question behind the answer suffix."""

    letter = "letter"
    """With the option's letter, which it generates."""
    words = "words"
    """With the option's own words: of all options the one whose words are the likeliest (docs/evaluate.md)."""


class TemporalKind(str, Enum):
    """What makes one vector of what a place shows over the frames (Valley §4.2)."""

    v1 = "v1"
    """Their mean."""
    v2 = "v2"
    """A weighted mean, whose weights are learned."""
    v3 = "v3"
    """The last output of a transformer over the frames, plus their mean."""


class SmallLM(str, Enum):
    """What the small language model is that begins from nothing; both have its sizes."""

    llama = "llama"
    qwen3 = "qwen3"
    """Its queries and keys are normalised."""


class FrameWeights(str, Enum):
    """What v2 finds the weights of frames for."""

    per_place = "per_place"
    """Each place by itself: the paper's formula."""
    per_frame = "per_frame"
    """All places of a frame together: the release."""


@dataclass
class ValleySettings:
    """What a valley is made of."""

    encoder: str = ""
    """Frame encoder, frozen: folder or hub id of a CLIP or SigLIP; none: a small random one of our own."""
    encoder_skip: int = 1
    """Layers at its end that are left out; a frame's features are the outputs of the one before."""
    lm: str = ""
    """Causal language model: folder or hub id; none: a small one of our own that begins from nothing."""
    system: str = "You are a helpful assistant who can see a video."
    """System message before a question, empty for none. Only with `lm`."""
    temporal: TemporalKind = TemporalKind.v3
    frame_weights: FrameWeights = FrameWeights.per_place
    """How v2 weighs frames."""
    frame_tokens: bool = True
    """Whether the LM is given a token of each frame behind those of the places."""
    frames_per_second: float = 0.0
    """Sees so many of the specialists' frames a second, `student.frames` at most; 0: always `student.frames`."""
    image: int = 64
    """Side of the square frames that the small encoder sees, in pixels; a multiple of 8."""
    channels: int = 64
    """Width of the small encoder, and of the temporal module behind it."""
    patches: int = 4
    """Places that the small encoder tells apart in a frame; a square number."""
    small_lm: SmallLM = SmallLM.llama
    """What the small language model is."""
    hidden: int = 96
    """Its width."""
    layers: int = 3
    heads: int = 3
    vocabulary: int = 2048


@dataclass
class StudentConfig:
    """Which student. valley begins from nothing, from checkpoints of its parts, or from another run's valley.

    The others begin from a checkpoint.
    """

    name: StudentName = StudentName.valley
    frames: int = 16
    """Frames the student sees, spread over those the specialists saw."""
    choice_reply: ChoiceReply = ChoiceReply.letter
    """What it is trained to reply to multiple choice, and asked for: a letter, or the option's words."""
    path: str = ""
    """Checkpoint to begin from, in the family's own format: a folder or a hub id; a student of another run is one."""
    attention: Attention = Attention.sdpa
    """How a checkpoint's attention is computed; does not change what it is."""
    dtype: Dtype = Dtype.float32
    """Of a checkpoint's weights."""
    lora_rank: int = 0
    """Rank of adapters (LoRA) that are trained instead of a checkpoint's language model; 0: the model itself."""
    valley: ValleySettings = field(default_factory=ValleySettings)
