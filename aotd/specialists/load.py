"""Build the specialists that a config names.

Names map to builders through explicit dicts, one per sub-task: an importable string in a config would
be code execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aotd.errors import UserError
from aotd.models.loading import Shelf
from aotd.runtime.meter import loading
from aotd.specialists import AnswererName, DetectorName, GrounderName, RecogniserName, SourceName, SpecialistsConfig
from aotd.specialists.protocols import Answerer, Detector, Grounder, Recogniser, Source, Specialists

if TYPE_CHECKING:
    from aotd.specialists.captions import Captions
    from aotd.specialists.mock import Mock
    from aotd.specialists.trivial import Trivial


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
    from aotd.specialists.video_llm import VideoLLMSpecialist

    return VideoLLMSpecialist(config.action.name.value, config.action, "specialists.action", shelf)


def _answering_llm(config: SpecialistsConfig, root: str, shelf: Shelf) -> Answerer:
    from aotd.specialists.video_llm import VideoLLMSpecialist

    return VideoLLMSpecialist(config.answering.name.value, config.answering, "specialists.answering", shelf)


def _acting_server(config: SpecialistsConfig, root: str, shelf: Shelf) -> Recogniser:
    from aotd.specialists.video_server import VideoServer

    return VideoServer(config.action, "specialists.action")


def _answering_server(config: SpecialistsConfig, root: str, shelf: Shelf) -> Answerer:
    from aotd.specialists.video_server import VideoServer

    return VideoServer(config.answering, "specialists.answering")


def _video_source(config: SpecialistsConfig, root: str) -> Source:
    from aotd.video.source import DecodedVideos

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
