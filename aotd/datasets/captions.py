"""What is told of videos, one title and one caption each, as JSON, JSON lines, a table (CSV, TSV) or parquet.

    {"video": "clips/0001.mp4", "title": "Dog Rides a Skateboard", "caption": "This dog had watched a boy skate …"}

    video,title,caption
    clips/0001.mp4,Dog Rides a Skateboard,This dog had watched a boy skate …

`title` may be left out. A video may have several captions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import field_validator

from aotd.datasets.reader import AnnotationEntry, checked, csv_rows, read_rows

_TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class VideoCaption:
    """What is told of a video. All of it is untrusted text."""

    key: str
    """Tells it from all others: the video, and a number where the video has several."""
    video: str
    """The video file, relative to the folder of the videos."""
    title: str
    caption: str
    source: str
    """Where the video is from, e.g. `playroom`."""

    @property
    def video_id(self) -> str:
        """The video's name, without the ending of a file."""
        return PurePosixPath(self.video).stem or self.video


class CaptionEntry(AnnotationEntry):
    video: str
    title: str = ""
    caption: str

    @field_validator("title", mode="before")
    @classmethod
    def _no_title(cls, title: object) -> object:
        return "" if title is None else title


def read_captions(path: Path, limit: int | None = None) -> list[VideoCaption]:
    """The captions of a file.

    Args:
        limit: only those of the first so many videos.

    Raises:
        UserError: it is no such file, or an entry is malformed; names the file, the entry and what is wrong.
    """
    found: list[VideoCaption] = []
    counts: dict[str, int] = {}
    for where, row in _rows(path):
        entry = checked(CaptionEntry, row, where)
        if limit is not None and entry.video not in counts and len(counts) >= limit:
            continue
        number = counts[entry.video] = counts.get(entry.video, 0) + 1
        key = entry.video if number == 1 else f"{entry.video}#{number}"
        found.append(VideoCaption(key, entry.video, entry.title.strip(), entry.caption.strip(), path.stem))
    return found


def _rows(path: Path) -> Iterator[tuple[str, object]]:
    what = "a file of captions"
    if Path(path.name.lower().removesuffix(".gz")).suffix in _TABLES:
        yield from csv_rows(path, ("video", "caption"), "a table of captions", also=("title",))
    else:
        yield from read_rows(path, what)
