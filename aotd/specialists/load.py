"""Build the specialists that the settings name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from aotd.errors import UserError
from aotd.models.model_cache import ModelCache
from aotd.runtime.meter import loading
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.specialists.protocols import Source, Specialists
from aotd.specialists.subtasks import SUBTASKS, resolve


def _video_source(config: SpecialistsConfig, root: str) -> Source:
    from aotd.video.source import DecodedVideos

    return DecodedVideos(root, config.frames, config.decode_deadline_s)


def _captions_source(config: SpecialistsConfig, root: str) -> Source:
    from aotd.specialists.captions import captions_specialist

    return captions_specialist(config)


def _mock_source(config: SpecialistsConfig, root: str) -> Source:
    from aotd.specialists.mock import mock_specialist

    return mock_specialist(config)


SOURCES: dict[SourceName, Callable[[SpecialistsConfig, str], Source]] = {
    SourceName.video: _video_source,
    SourceName.captions: _captions_source,
    SourceName.mock: _mock_source,
}
"""Where videos come from: (settings, folder of the videos) -> source."""


def load_specialist(subtask: str, config: SpecialistsConfig, root: str, models: ModelCache | None = None) -> Any:
    """Build the specialist of one sub-task.

    Args:
        subtask: a name in `SUBTASKS`.
        root: folder of the videos (`dataset.root`).
        models: the cache that its weights are loaded into.

    Raises:
        UserError: its model, or the stored captions, are not there; or it can be at no server and is said to be.
    """
    check_remote(config)
    if subtask in config.remote():
        from aotd.specialists.remote import Remote

        return Remote(subtask, getattr(config, subtask), root)
    build = resolve(config.builder(subtask).build)
    given = {
        "config": getattr(config, subtask),
        "setting": f"specialists.{subtask}",
        "settings": config,
        "models": models or ModelCache(config.memory_gb),
    }
    wanted = inspect.signature(build).parameters
    return build(**{name: value for name, value in given.items() if name in wanted})


def check_remote(config: SpecialistsConfig) -> None:
    """Check that the specialists that settings place at a server can be there.

    Raises:
        UserError: one cannot, or it is no file that says where it is.
    """
    for subtask in config.remote():
        part, setting = getattr(config, subtask), f"specialists.{subtask}"
        if subtask not in config.weighted():
            raise UserError(f"{setting}.url: {part.name} has no weights and needs no server: leave it empty")
        if config.source is not SourceName.video:
            raise UserError(
                f"{setting}.url: a server looks into video files, and specialists.source is {config.source.value}"
            )
        if not part.url.endswith(".json"):
            raise UserError(f"{setting}.url={part.url}: name the file that `aotd serve` writes, RUN/servers/NAME.json")


def load_specialists(config: SpecialistsConfig, root: str) -> Specialists:
    """Build all specialists, within one budget of memory; see `load_specialist`."""
    models = ModelCache(config.memory_gb)
    with loading():
        specialists = {subtask: load_specialist(subtask, config, root, models) for subtask in SUBTASKS}
        return Specialists(SOURCES[config.source](config, root), **specialists)
