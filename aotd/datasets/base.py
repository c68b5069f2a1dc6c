"""How a benchmark is named, and what reading it gives."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
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
    nextqa_oe = "nextqa_oe"
    clevrer = "clevrer"
    agqa = "agqa"
    anetqa = "anetqa"
    egoqa = "egoqa"
    mvbench = "mvbench"
    videomme = "videomme"
    perceptiontest = "perceptiontest"
    activitynetqa = "activitynetqa"
    videochatgpt = "videochatgpt"
    egoschema = "egoschema"
    files = "files"
    clips = "clips"


@dataclass
class DatasetConfig:
    """Which questions, and where their videos are."""

    name: DatasetName = DatasetName.playroom
    root: str = "data/playroom"
    """Folder of the videos; no question can name a file outside it."""
    questions: str = ""
    """The benchmark's own annotation file, or the folder of several; playroom writes its own below `root`."""
    spans: str = ""
    """nextqa: NExT-GQA's file of true spans; empty for none."""
    answers: str = ""
    """activitynetqa, egoschema: the file of true answers, which these keep apart."""
    cuts: str = ""
    """perceptiontest: at which frame each video is to end, so that it does not show the answer; empty for none."""
    type_by: str = ""
    """agqa, anetqa, videomme, perceptiontest: which of its fields gives a question's type; empty for the usual one."""
    split: str = "val"
    """Name of the split the file holds; playroom's files name their own."""
    limit: int | None = None
    """Read only the questions of the first so many videos."""
    sample: int | None = None
    """Draw so many of the questions that were read, the same ones from the same seed."""
    playroom: PlayroomConfig = field(default_factory=PlayroomConfig)


@dataclass(frozen=True)
class Loaded:
    """What a reader found."""

    questions: Iterable[Question]
    """No two have one id. They can be gone through more than once; a reader that can do so holds none of them."""
    skipped: list[str]
    """One line for each entry of the file that gives no question, saying why."""


def locate(root: str, name: str) -> Path:
    """The path of a video, whether or not it is there.

    Raises:
        UserError: the name, or a link on its way, leads outside the root, or it can be no file's.
    """
    folder = Path(root).resolve()
    shown = repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}…"
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            plain = not Path(name).is_absolute() and ".." not in Path(name).parts
            why = (
                "it is a link; put the file itself there"
                if plain
                else "names are relative to dataset.root, without '..'"
            )
            raise UserError(f"video {shown} leads outside {root}: {why}")
        if len(str(path).encode()) >= 4096 or max(len(part.encode()) for part in path.parts) > 255:
            raise UserError(f"video {shown} is longer than a name of a file can be")
        path.stat()
    except ValueError:  # a zero byte, or half of a character
        raise UserError(f"video {shown} is no name of a file") from None
    except RuntimeError:
        raise UserError(f"video {shown} is a link that leads back to itself") from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"video {shown} cannot be reached ({error.strerror})") from None
    return path


_SHOWN = 80
"""How much of a name stands in an error."""

READERS: dict[DatasetName, str] = {
    DatasetName.playroom: "aotd.datasets.playroom.build",
    DatasetName.files: "aotd.datasets.files",
    DatasetName.star: "aotd.datasets.star",
    DatasetName.nextqa: "aotd.datasets.nextqa",
    DatasetName.nextqa_oe: "aotd.datasets.nextqa_oe",
    DatasetName.clevrer: "aotd.datasets.clevrer",
    DatasetName.agqa: "aotd.datasets.agqa",
    DatasetName.anetqa: "aotd.datasets.anetqa",
    DatasetName.egoqa: "aotd.datasets.egoqa",
    DatasetName.mvbench: "aotd.datasets.mvbench",
    DatasetName.videomme: "aotd.datasets.videomme",
    DatasetName.perceptiontest: "aotd.datasets.perceptiontest",
    DatasetName.activitynetqa: "aotd.datasets.activitynetqa",
    DatasetName.videochatgpt: "aotd.datasets.videochatgpt",
    DatasetName.egoschema: "aotd.datasets.egoschema",
}
"""Dataset -> module with `read(config)`."""

TYPES: dict[DatasetName, tuple[str, ...]] = {
    DatasetName.agqa: ("structural", "semantic", "ans_type"),
    DatasetName.anetqa: ("question_type", "question structures", "question semantics", "answer types"),
    DatasetName.videomme: ("task_type", "duration", "domain", "sub_category"),
    DatasetName.perceptiontest: ("area", "reasoning"),
}
"""Dataset -> its own fields that can give a question's type, the default first, where it has several."""

_FILES_OF = {
    "spans": (DatasetName.nextqa,),
    "answers": (DatasetName.activitynetqa, DatasetName.egoschema),
    "cuts": (DatasetName.perceptiontest,),
}
"""Setting that names a further file -> the datasets that have one."""


def read(config: DatasetConfig) -> Loaded:
    """The questions of a dataset. Every entry is checked: by now, or as one goes through them.

    Raises:
        UserError: a file is not there or malformed, or a setting is not one of this dataset's.
    """
    for setting, names in _FILES_OF.items():
        if getattr(config, setting) and config.name not in names:
            known = " and ".join(name.value for name in names)
            raise UserError(f"dataset.{setting}: only {known} reads it, not {config.name.value}: leave it empty")
    known_types = TYPES.get(config.name, ())
    if config.type_by and config.type_by not in known_types:
        choice = f"one of {', '.join(known_types)}" if known_types else "its questions have one type each"
        raise UserError(f"dataset.type_by={config.type_by}: {config.name.value} has no such field: {choice}")
    loaded: Loaded = importlib.import_module(READERS[config.name]).read(config)
    return loaded


def type_field(config: DatasetConfig) -> str:
    """The field that gives a question's type, in a dataset that has several."""
    return config.type_by or TYPES[config.name][0]
