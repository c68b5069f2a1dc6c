"""How a benchmark is described, and what reading it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aotd.datasets.playroom import PlayroomConfig
from aotd.errors import UserError
from aotd.records import Question


@dataclass
class DatasetConfig:
    """Which questions, and where their videos are."""

    name: str = "playroom"
    """A benchmark of `aotd.datasets.benchmarks`; `clips` is a folder of videos without questions."""
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
class LoadedQuestions:
    """What reading a benchmark gives."""

    questions: Iterable[Question]
    """No two have one id. They can be gone through more than once; a reader that can do so holds none of them."""
    skipped: list[str]
    """One line for each entry of the file that gives no question, saying why."""
    notes: list[str] = field(default_factory=list)
    """What the user is told beside; complete once the questions have been gone through."""


VideoOrigin = Callable[[str], tuple[str, str]]
"""A question's video id -> the collection that the video is from, and its id in that collection."""


def collection(name: str) -> VideoOrigin:
    """The origin of videos that keep the ids of the collection that they are from."""
    return lambda video_id: (name, video_id)


def activitynet_video(video_id: str) -> tuple[str, str]:
    """The origin of ActivityNet's videos: some benchmarks write `v_` before the eleven characters of an id."""
    return "activitynet", video_id.removeprefix("v_") if len(video_id) == 13 else video_id


def no_groups(kind: str) -> Sequence[str]:
    """The groups of a type in a benchmark that reports none."""
    return ()


@dataclass(frozen=True)
class Benchmark:
    """What is known of a benchmark. It stands beside the reader, in the reader's module, as `BENCHMARK`."""

    read: Callable[[DatasetConfig], LoadedQuestions]
    """Reads the questions from the benchmark's own files."""
    origin: VideoOrigin | None
    """Where the videos are from. Contamination is found by it: two benchmarks may ask about the same video.
    None: a video id has a meaning within one folder only."""
    type_fields: tuple[str, ...] = ()
    """The fields that can give a question's type (`dataset.type_by`), the default first; empty for one type each."""
    extra_files: tuple[str, ...] = ()
    """The settings in `EXTRA_FILES` that name a further file of it."""
    groups: Callable[[str], Sequence[str]] = no_groups
    """A question's type -> the groups of types in which the benchmark's authors report accuracy."""


EXTRA_FILES = ("spans", "answers", "cuts")
"""Settings that name a further file, which not every benchmark has."""


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
