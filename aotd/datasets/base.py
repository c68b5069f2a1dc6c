"""How a benchmark is named, and what reading it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from aotd.datasets.playroom import PlayroomConfig
from aotd.errors import UserError
from aotd.records import Question


class DatasetName(str, Enum):
    playroom = "playroom"
    star = "star"
    nextqa = "nextqa"
    files = "files"
    clips = "clips"


@dataclass
class DatasetConfig:
    """Which questions, and where their videos are."""

    name: DatasetName = DatasetName.playroom
    root: str = "data/playroom"
    """Folder of the videos; no question can name a file outside it."""
    questions: str = ""
    """The benchmark's own annotation file; playroom writes its own below `root`."""
    spans: str = ""
    """nextqa: NExT-GQA's file of true spans; empty for none."""
    split: str = "val"
    """Name of the split the file holds; playroom's files name their own."""
    limit: int | None = None
    """Read only the questions of the first so many videos."""
    playroom: PlayroomConfig = field(default_factory=PlayroomConfig)


@dataclass(frozen=True)
class Loaded:
    """What a reader found."""

    questions: list[Question]
    skipped: list[str]
    """One line for each entry of the file that gives no question, saying why."""


def locate(root: str, name: str) -> Path:
    """The path of a video.

    Raises:
        UserError: the name leads outside the root.
    """
    folder = Path(root).resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise UserError(f"video {name!r} leads outside {root}: names are relative to dataset.root, without '..'")
    return path


def _playroom(config: DatasetConfig) -> Loaded:
    from aotd.datasets.playroom.build import read_or_build

    return read_or_build(config)


def _star(config: DatasetConfig) -> Loaded:
    from aotd.datasets.star import read

    return read(config)


def _nextqa(config: DatasetConfig) -> Loaded:
    from aotd.datasets.nextqa import read

    return read(config)


def _files(config: DatasetConfig) -> Loaded:
    from aotd.datasets.files import read

    return read(config)


READERS: dict[DatasetName, Callable[[DatasetConfig], Loaded]] = {
    DatasetName.playroom: _playroom,
    DatasetName.star: _star,
    DatasetName.nextqa: _nextqa,
    DatasetName.files: _files,
}
