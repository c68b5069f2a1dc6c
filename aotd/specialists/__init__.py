"""Specialist models, one file per family; `load_specialists` builds the set that a config names.

Names map to builders through explicit dicts, one per sub-task: an importable string in a config would
be code execution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from aotd.specialists.base import Answerer, Detector, Grounder, Recogniser, Source, Specialists

if TYPE_CHECKING:
    from aotd.datasets.base import DatasetConfig


class SpecialistName(str, Enum):
    playroom = "playroom"
    captions = "captions"


class SourceName(str, Enum):
    video = "video"
    captions = "captions"


@dataclass
class SpecialistsConfig:
    """One specialist per sub-task."""

    source: SourceName = SourceName.video
    """Where clips come from: decoded video files, or stored captions."""
    detection: SpecialistName = SpecialistName.playroom
    grounding: SpecialistName = SpecialistName.playroom
    action: SpecialistName = SpecialistName.playroom
    answering: SpecialistName = SpecialistName.playroom
    frames: int = 32
    """Frames sampled uniformly from the question's part of the video (paper: 32)."""
    decode_deadline_s: float = 60.0
    """A video that is not decoded by then is unreadable."""
    captions: str = ""
    """captions: JSON file {video: {second: caption}}."""
    embedder: str = ""
    """captions: folder of a sentence-embedding model; empty is the one in the extra `captions`."""
